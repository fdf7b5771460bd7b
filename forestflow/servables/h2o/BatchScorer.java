package forestflow;

import hex.ModelCategory;
import hex.genmodel.CategoricalEncoding;
import hex.genmodel.ConverterFactoryProvidingModel;
import hex.genmodel.GenModel;
import hex.genmodel.MojoModel;
import hex.genmodel.PredictContributions;
import hex.genmodel.PredictContributionsFactory;
import hex.genmodel.algos.drf.DrfMojoModel;
import hex.genmodel.algos.gam.GamMojoModelBase;
import hex.genmodel.algos.glrm.GlrmMojoModel;
import hex.genmodel.algos.targetencoder.ColumnsMapping;
import hex.genmodel.algos.targetencoder.TargetEncoderMojoModel;
import hex.genmodel.algos.tree.SharedTreeMojoModel;
import hex.genmodel.algos.tree.TreeBackedMojoModel;
import hex.genmodel.algos.word2vec.WordEmbeddingModel;
import hex.genmodel.easy.CategoricalEncoder;
import hex.genmodel.easy.EasyPredictModelWrapper;
import hex.genmodel.easy.RowData;
import hex.genmodel.easy.exception.PredictException;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.DoubleBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * Scores whole batches of one MOJO inside the JVM.
 *
 * <p>Rows travel through two direct buffers that Python sees as NumPy arrays, so that a call carries nothing but a row
 * count. A row of the input buffer holds what {@code score0} takes, the encoded features in the model's order, then the
 * offset. A row of the output buffer holds what {@code score0} gives. Not thread-safe.
 */
public final class BatchScorer {
  private static final double UNTOUCHED = -0x1.123456789p-1000;

  /** Rows that are worth another thread: fewer are scored before it is awake. */
  private static final int SHARE = 128;

  private final MojoModel model;
  private final ModelCategory category;
  private final int features;
  private final int predsSize;
  private final Map<String, Integer> mapping;
  private final Map<Integer, CategoricalEncoder> encoders;
  private final Converter converter;
  private final GlrmMojoModel glrm;
  private final double[] row;
  private final SharedTreeMojoModel trees;
  private final TreeTable table; // null where the model walks its trees itself
  private final TreeTable.Block block;
  private PredictContributions contributions;
  private DoubleBuffer in;
  private DoubleBuffer out;
  private ExecutorService helpers;
  private int threads = 1;

  /** EasyPredict with the settings of the original ForestFlow, opened up to give the converted row. */
  private static final class Converter extends EasyPredictModelWrapper {
    private static final long serialVersionUID = 1;

    Converter(GenModel model) {
      super(
          new Config()
              .setModel(model)
              .setConvertUnknownCategoricalLevelsToNa(true)
              .setConvertInvalidNumbersToNa(true));
    }

    double[] convert(RowData data) throws PredictException {
      double[] raw = new double[m.nfeatures()];
      Arrays.fill(raw, Double.NaN);
      return fillRawData(data, raw);
    }
  }

  public BatchScorer(MojoModel model) {
    this.model = model;
    category = model.getModelCategory();
    features = model.nfeatures();
    row = new double[features];
    glrm = model instanceof GlrmMojoModel ? (GlrmMojoModel) model : null;
    trees = model instanceof SharedTreeMojoModel ? (SharedTreeMojoModel) model : null;
    table = trees == null ? null : TreeReader.read(trees);
    block = table == null ? null : table.new Block();
    if (category == ModelCategory.WordEmbedding) {
      predsSize = ((WordEmbeddingModel) model).getVecSize();
      mapping = null;
      encoders = null;
      converter = null;
      return;
    }
    predsSize =
        category == ModelCategory.TargetEncoder ? model.getPredsSize() : model.getPredsSize(category);
    CategoricalEncoding encoding = model.getCategoricalEncoding();
    if (encoding == null) {
      throw new UnsupportedOperationException("the MOJO's categorical encoding has no encoder in h2o-genmodel");
    }
    mapping = encoding.createColumnMapping(model);
    encoders = encoding.createCategoricalEncoders(model, mapping);
    converter = new Converter(model);
  }

  /** Sends what Java code prints nowhere: in a server it belongs to no terminal. */
  public static void silence() {
    PrintStream nowhere =
        new PrintStream(
            new OutputStream() {
              @Override
              public void write(int b) {}

              @Override
              public void write(byte[] b, int off, int len) {}
            });
    System.setOut(nowhere);
    System.setErr(nowhere);
  }

  public static BatchScorer load(String path) throws IOException {
    MojoModel model = MojoModel.load(path);
    // A random forest's contributions need its variable importances, which are metadata.
    return new BatchScorer(model instanceof DrfMojoModel ? MojoModel.load(path, true) : model);
  }

  // ---- what the model is

  public MojoModel model() {
    return model;
  }

  public String category() {
    return category.name();
  }

  public int features() {
    return features;
  }

  public int predsSize() {
    return predsSize;
  }

  /** Names of the raw input columns in the order of their place in a row, without those that scoring ignores. */
  public String[] inputs() {
    if (mapping == null) {
      return new String[0];
    }
    List<String> names = new ArrayList<>();
    for (Map.Entry<String, Integer> entry : mapping.entrySet()) {
      if (entry.getKey() != null && entry.getValue() < features) {
        names.add(entry.getKey());
      }
    }
    names.sort((a, b) -> Integer.compare(mapping.get(a), mapping.get(b)));
    return names.toArray(new String[0]);
  }

  /** Whether the trees are walked in a table, in place of H2O's own walk. */
  public boolean hasTable() {
    return table != null;
  }

  public int place(String input) {
    return mapping.get(input);
  }

  /** The levels of a categorical input as trained; empty where the MOJO keeps none; null for any other input. */
  public String[] levels(String input) {
    if (!encoders.containsKey(mapping.get(input))) {
      return null;
    }
    String[][] domains = model.getOrigDomainValues();
    String[] names = model.getOrigNames();
    if (names == null || domains == null) {
      names = model.getNames();
      domains = model.getDomainValues();
    }
    int at = Arrays.asList(names).indexOf(input);
    return at < 0 || at >= domains.length || domains[at] == null ? new String[0] : domains[at];
  }

  /** The levels at a categorical input's place inside the model, which EnumLimited encoding makes differ from the input's. */
  public String[] innerLevels(String input) {
    String[][] domains = model.getDomainValues();
    int at = mapping.get(input);
    return at >= domains.length || domains[at] == null ? new String[0] : domains[at];
  }

  /**
   * How H2O's own encoder writes each value of a categorical input.
   *
   * @return (1 + values.length) groups, first that of a missing value; a group is a flag, 1 where the encoder knows the
   *     value, and then the cells it writes from {@link #place} on
   */
  public double[] encode(String input, String[] values) {
    int target = mapping.get(input);
    CategoricalEncoder encoder = encoders.get(target);
    double[] cells = new double[features];
    Arrays.fill(cells, UNTOUCHED);
    encoder.encodeNA(cells);
    int width = 0;
    while (target + width < features && cells[target + width] != UNTOUCHED) {
      width++;
    }
    double[] table = new double[(1 + values.length) * (1 + width)];
    table[0] = 1;
    System.arraycopy(cells, target, table, 1, width);
    for (int i = 0; i < values.length; i++) {
      int at = (1 + i) * (1 + width);
      table[at] = encoder.encodeCatValue(values[i], cells) ? 1 : 0;
      System.arraycopy(cells, target, table, at + 1, width);
    }
    return table;
  }

  /** Labels of a classifier, as EasyPredict names them; null for any other model. */
  public String[] labels() {
    if (!model.isClassifier()) {
      return null;
    }
    String[] domain = model.getDomainValues(model.getResponseIdx());
    return domain == null && model.getNumResponseClasses() == 2 ? new String[] {"0", "1"} : domain;
  }

  /** Whether a row depends on more than a column by column conversion, so that only {@link #convert} is right. */
  public boolean needsConvert() {
    return model instanceof ConverterFactoryProvidingModel;
  }

  /** The columns that a GAM makes basis columns of, or those basis columns; H2O keeps both to itself. */
  public String[] gamColumns(boolean expanded) throws ReflectiveOperationException {
    Field field = GamMojoModelBase.class.getDeclaredField(expanded ? "_gamColNamesCenter" : "_gam_columns");
    field.setAccessible(true);
    List<String> names = new ArrayList<>();
    for (String[] group : (String[][]) field.get(model)) {
      names.addAll(Arrays.asList(group));
    }
    return names.toArray(new String[0]);
  }

  public String[] targetEncodings() {
    List<String> names = new ArrayList<>();
    for (ColumnsMapping columns : ((TargetEncoderMojoModel) model)._inoutMapping) {
      names.addAll(Arrays.asList(columns.to()));
    }
    return names.toArray(new String[0]);
  }

  // ---- scoring

  /** Direct buffers in the machine's byte order, for a capacity of rows × (features + 1) and rows × predsSize. */
  public void buffers(ByteBuffer input, ByteBuffer output) {
    in = input.order(ByteOrder.nativeOrder()).asDoubleBuffer();
    out = output.order(ByteOrder.nativeOrder()).asDoubleBuffer();
  }

  /**
   * Lets so many threads share the rows of a call. Only models of trees are shared: what other algorithms keep between
   * two rows is theirs to know.
   */
  public void threads(int count) {
    close();
    threads = trees != null ? count : 1;
    if (threads > 1) {
      helpers =
          Executors.newFixedThreadPool(
              threads - 1,
              run -> {
                Thread thread = new Thread(run, "scoring");
                thread.setDaemon(true);
                return thread;
              });
    }
  }

  /** Ends the further threads. */
  public void close() {
    if (helpers != null) {
      helpers.shutdown();
      helpers = null;
    }
    threads = 1;
  }

  /** Scores the first rows of the input buffer into the output buffer. */
  public void score(int rows) {
    int shares = Math.min(threads, rows / SHARE);
    if (shares < 2) {
      score(0, rows, row, block);
      return;
    }
    Future<?>[] shared = new Future<?>[shares - 1];
    for (int i = 1; i < shares; i++) {
      final int from = (int) ((long) rows * i / shares);
      final int to = (int) ((long) rows * (i + 1) / shares);
      shared[i - 1] = helpers.submit(() -> score(from, to, new double[features], table == null ? null : table.new Block()));
    }
    RuntimeException failure = null;
    try {
      score(0, rows / shares, row, block);
    } catch (RuntimeException failed) {
      failure = failed;
    }
    for (Future<?> share : shared) { // all of them, as they write to the buffer
      try {
        share.get();
      } catch (ExecutionException | InterruptedException failed) {
        failure = failure != null ? failure : new IllegalStateException(failed);
      }
    }
    if (failure != null) {
      throw failure;
    }
  }

  private void score(int from, int to, double[] cells, TreeTable.Block block) {
    final DoubleBuffer source = in.duplicate();
    final DoubleBuffer target = out.duplicate();
    source.clear().position(from * (features + 1));
    target.clear().position(from * predsSize);
    if (block != null) {
      score(to - from, source, target, block);
      return;
    }
    final MojoModel scored = model;
    final double[] zeros = new double[predsSize];
    final double[] preds = new double[predsSize];
    final boolean always = scored.requiresOffset();
    for (int i = from; i < to; i++) {
      source.get(cells);
      double offset = source.get();
      System.arraycopy(zeros, 0, preds, 0, zeros.length);
      if (glrm != null) {
        glrm._rcnt = 0; // it seeds each row by the rows before it; a row's answer must not depend on them
      }
      target.put(
          always || offset != 0 ? scored.score0(cells, offset, preds) : scored.score0(cells, preds), 0, zeros.length);
    }
  }

  private void score(int rows, DoubleBuffer source, DoubleBuffer target, TreeTable.Block block) {
    final double[] preds = new double[predsSize];
    final double[] offsets = new double[block.capacity];
    final int first = trees.nclasses() == 1 ? 0 : 1;
    for (int from = 0; from < rows; from += block.capacity) {
      int count = Math.min(block.capacity, rows - from);
      for (int i = 0; i < count; i++) {
        source.get(block.row(i));
        offsets[i] = source.get();
      }
      double[][] sums = block.sums(count);
      for (int i = 0; i < count; i++) {
        Arrays.fill(preds, 0);
        System.arraycopy(sums[i], 0, preds, first, sums[i].length);
        target.put(trees.unifyPreds(block.row(i), offsets[i], preds), 0, predsSize);
      }
    }
  }

  /** Replaces the class probabilities in the output buffer by calibrated ones; false where the model has none. */
  public boolean calibrate(int rows) {
    double[] preds = new double[predsSize];
    for (int i = 0; i < rows; i++) {
      out.position(i * predsSize);
      out.get(preds);
      if (!model.calibrateClassProbabilities(preds)) {
        return false;
      }
      out.position(i * predsSize);
      out.put(preds);
    }
    return true;
  }

  /** Converts rows by H2O's own rules into the input buffer; a column is a String[] (null: absent) or a double[]. */
  public void convert(int rows, String[] names, Object[] columns) throws PredictException {
    in.clear();
    for (int i = 0; i < rows; i++) {
      RowData data = new RowData();
      for (int c = 0; c < names.length; c++) {
        Object value = columns[c] instanceof double[] ? (Object) ((double[]) columns[c])[i] : ((String[]) columns[c])[i];
        if (value != null) {
          data.put(names[c], value);
        }
      }
      in.put(converter.convert(data));
      in.get(); // the offset stays as Python wrote it
    }
  }

  // ---- further outputs

  /** Names of the trees, or null where the model has no leaf assignments. */
  public String[] leafNames() {
    if (!(model instanceof TreeBackedMojoModel)) {
      return null;
    }
    if (model instanceof SharedTreeMojoModel) {
      return ((SharedTreeMojoModel) model).getDecisionPathNames();
    }
    TreeBackedMojoModel trees = (TreeBackedMojoModel) model;
    String[] names = new String[trees.getNTreeGroups() * trees.getNTreesPerGroup()];
    for (int i = 0; i < names.length; i++) {
      names[i] = "T" + (i / trees.getNTreesPerGroup() + 1) + ".C" + (i % trees.getNTreesPerGroup() + 1);
    }
    return names;
  }

  /** Decision paths of the first rows, each path ended by a line feed, in the order of {@link #leafNames}. */
  public String leaves(int rows) {
    StringBuilder paths = new StringBuilder();
    in.clear();
    for (int i = 0; i < rows; i++) {
      in.get(row);
      in.get();
      for (String path : ((TreeBackedMojoModel) model).getDecisionPath(row)) {
        paths.append(path).append('\n');
      }
    }
    return paths.toString();
  }

  /** Names of the contributions, or null where EasyPredict refuses to compute them. */
  public String[] contributionNames() {
    boolean offered =
        model instanceof PredictContributionsFactory
            && (category == ModelCategory.Regression || category == ModelCategory.Binomial)
            && !(model instanceof DrfMojoModel
                && (((DrfMojoModel) model).isBinomialDoubleTrees() || model._modelAttributes == null));
    if (!offered) {
      return null;
    }
    if (contributions == null) {
      contributions = ((PredictContributionsFactory) model).makeContributionsPredictor();
    }
    return contributions.getContributionNames();
  }

  /** Contributions of the first rows, row by row in the order of {@link #contributionNames}. */
  public float[] contributions(int rows) {
    int width = contributionNames().length;
    float[] all = new float[rows * width];
    in.clear();
    for (int i = 0; i < rows; i++) {
      in.get(row);
      in.get();
      System.arraycopy(contributions.calculateContributions(row.clone()), 0, all, i * width, width);
    }
    return all;
  }

  /** Embeddings of words, vector by vector, NaN for an unknown word. */
  public float[] embed(String[] words) {
    float[] all = new float[words.length * predsSize];
    float[] vector = new float[predsSize];
    for (int i = 0; i < words.length; i++) {
      if (words[i] == null || ((WordEmbeddingModel) model).transform0(words[i], vector) == null) {
        Arrays.fill(vector, Float.NaN);
      }
      System.arraycopy(vector, 0, all, i * predsSize, predsSize);
    }
    return all;
  }

  // ---- the yardstick of the benchmarks

  /**
   * Prints the rows per second of a plain single-threaded Java loop over {@code score0}, rows prepared in advance.
   *
   * <p>Arguments: a MOJO, rows per round (10000), measured rounds (20). Numeric cells are standard normal, categorical
   * ones any level, from a fixed seed, unless a fourth argument "lo:hi,lo:hi,…" gives each feature's range.
   */
  public static void main(String[] args) throws IOException {
    MojoModel mojo = MojoModel.load(args[0]);
    int rows = args.length > 1 ? Integer.parseInt(args[1]) : 10000;
    int rounds = args.length > 2 ? Integer.parseInt(args[2]) : 20;
    String[] ranges = args.length > 3 ? args[3].split(",") : null;
    java.util.Random random = new java.util.Random(7);
    double[][] data = new double[rows][mojo.nfeatures()];
    for (double[] cells : data) {
      for (int c = 0; c < cells.length; c++) {
        String[] levels = mojo.getDomainValues(c);
        if (ranges != null) {
          String[] range = ranges[c].split(":");
          double low = Double.parseDouble(range[0]);
          cells[c] = low + (Double.parseDouble(range[1]) - low) * random.nextDouble();
        } else {
          cells[c] = levels == null ? random.nextGaussian() : random.nextInt(levels.length);
        }
      }
    }
    double best = 0;
    double checksum = 0;
    for (int round = -10; round < rounds; round++) {
      long start = System.nanoTime();
      checksum += plainLoop(mojo, data);
      double rate = rows / ((System.nanoTime() - start) * 1e-9);
      if (round >= 0) {
        best = Math.max(best, rate);
      }
    }
    System.out.println((long) best + " rows/s (checksum " + checksum + ")");
  }

  private static double plainLoop(MojoModel mojo, double[][] data) {
    double[] preds = new double[mojo.getPredsSize(mojo.getModelCategory())];
    double sum = 0;
    for (double[] cells : data) {
      sum += mojo.score0(cells, preds)[0];
    }
    return sum;
  }
}
