package forestflow;

import hex.genmodel.algos.drf.DrfMojoModel;
import hex.genmodel.algos.gbm.GbmMojoModel;
import hex.genmodel.algos.isofor.IsolationForestMojoModel;
import hex.genmodel.algos.tree.SharedTreeMojoModel;
import hex.genmodel.algos.tree.SharedTreeNode;
import hex.genmodel.algos.tree.SharedTreeSubgraph;
import hex.genmodel.utils.GenmodelBitSet;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.Iterator;
import java.util.Random;

/**
 * Makes a {@link TreeTable} of a model's trees, which H2O's own reader takes apart, and tries it against the model.
 *
 * <p>Where a single sum of the rows tried differs there is no table, and the model scores as it always does.
 */
final class TreeReader {
  /** Over so many nodes, or words of sets, a forest stays compressed: a node takes 24 bytes in a table. */
  private static final int MAX_NODES = 1 << 23;

  private static final int TRIALS = 500;

  private final SharedTreeMojoModel model;
  private final TreeTable table;
  private int nodes;
  private int words;

  private TreeReader(SharedTreeMojoModel model) {
    this.model = model;
    int[] levels = new int[model.nfeatures()];
    for (int i = 0; i < levels.length; i++) {
      String[] domain = model.getDomainValues(i);
      levels[i] = domain == null ? -1 : domain.length;
    }
    table = new TreeTable(levels, model.getNTreesPerGroup(), model.getNTreeGroups());
    words = table.sets.length;
  }

  /** The table of a model's trees, or null for a model that needs H2O's own walk. */
  static TreeTable read(SharedTreeMojoModel model) {
    boolean sums = // of leaves are what it makes its predictions of
        model instanceof GbmMojoModel
            || model instanceof DrfMojoModel
            || model instanceof IsolationForestMojoModel;
    if (!sums) {
      return null;
    }
    TreeReader reader = new TreeReader(model);
    try {
      return reader.readAll() && reader.agrees() ? reader.table : null;
    } catch (RuntimeException unreadable) { // trees as early versions of H2O wrote them
      return null;
    }
  }

  /** False where there is too much. */
  private boolean readAll() {
    int nothing = add(1);
    leaf(nothing, 0);
    for (int k = 0; k < table.roots.length; k++) {
      Arrays.fill(table.roots[k], nothing); // adding zero changes no sum: none is minus zero
      Arrays.fill(table.numeric[k], true);
    }
    for (int i = 0; i < model.getNTreeGroups(); i++) {
      int group = i / TreeTable.LANES;
      Iterator<SharedTreeSubgraph> trees = model.computeGraph(i).subgraphArray.iterator();
      for (int k = 0; k < table.roots.length; k++) {
        int before = words;
        SharedTreeSubgraph tree = trees.next();
        table.roots[k][i] = read(tree.rootNode);
        for (SharedTreeNode node : tree.nodesArray) {
          table.depths[k][group] = Math.max(table.depths[k][group], node.getDepth());
        }
        table.numeric[k][group] &= words == before;
        if (nodes > MAX_NODES || words > MAX_NODES) {
          return false;
        }
      }
    }
    table.resize(nodes);
    return true;
  }

  private int read(SharedTreeNode root) {
    int first = add(1);
    Deque<SharedTreeNode> read = new ArrayDeque<>();
    Deque<Integer> places = new ArrayDeque<>();
    read.add(root);
    places.add(first);
    while (!read.isEmpty()) {
      SharedTreeNode node = read.remove();
      int at = places.remove();
      if (node.isLeaf()) {
        leaf(at, node.getLeafValue());
        continue;
      }
      int children = add(2);
      split(at, node);
      table.left[at] = children;
      read.add(node.getLeftChild());
      places.add(children);
      read.add(node.getRightChild());
      places.add(children + 1);
    }
    return first;
  }

  private void leaf(int at, float value) {
    table.value[at] = value;
    table.split[at] = Double.NEGATIVE_INFINITY;
    table.cell[at] = 2 * table.levels.length;
    table.left[at] = at - 1;
  }

  private void split(int at, SharedTreeNode node) {
    boolean missingRight = !node.isLeftward();
    table.cell[at] = 2 * node.getColId() + (missingRight ? 1 : 0);
    if (node.isNaVsRest()) {
      table.split[at] = TreeTable.BEYOND;
    } else if (node.getBs() == null) {
      table.split[at] = node.getSplitValue();
      if (Double.isNaN(table.split[at]) || Double.isInfinite(table.split[at])) {
        throw new IllegalArgumentException("a split at no number");
      }
    } else {
      table.split[at] = TreeTable.BEYOND;
      int levels = table.levels[node.getColId()];
      table.set[at] = words;
      words += TreeTable.words(levels);
      if (words > table.sets.length) {
        table.sets = Arrays.copyOf(table.sets, 2 * words);
      }
      GenmodelBitSet right = node.getBs();
      for (int level = 0; level < levels; level++) {
        if (right.isInRange(level) ? right.contains(level) : missingRight) {
          table.sets[table.set[at] + (level + 1 >> 5)] |= 1 << level + 1;
        }
      }
    }
  }

  private int add(int count) {
    int first = nodes;
    nodes += count;
    if (nodes > table.left.length) {
      table.resize(2 * nodes);
    }
    return first;
  }

  /** Whether the sums are the model's own, for rows around its splits. */
  private boolean agrees() {
    Random random = new Random(8);
    TreeTable.Block block = table.new Block();
    int first = model.nclasses() == 1 ? 0 : 1;
    double[] expected = new double[first + table.roots.length];
    for (int trial = 0; trial < TRIALS; trial++) {
      double[] row = block.row(0);
      for (int i = 0; i < row.length; i++) {
        row[i] = random.nextInt(8) == 0 ? Double.NaN : table.levels[i] < 0 ? random.nextGaussian() : level(i, random);
      }
      for (int i = 0; i < 4 * row.length; i++) {
        near(random.nextInt(nodes), random, row);
      }
      Arrays.fill(expected, 0);
      model.scoreTreeRange(row, 0, model.getNTreeGroups(), expected);
      double[] found = block.sums(1)[0];
      for (int k = 0; k < found.length; k++) {
        if (found[k] != expected[first + k]) {
          return false;
        }
      }
    }
    return true;
  }

  /** Moves a row to the split of a node of numbers, or one number beside it. */
  private void near(int node, Random random, double[] row) {
    int feature = table.cell[node] >> 1;
    if (table.left[node] > node && table.levels[feature] < 0 && table.split[node] != TreeTable.BEYOND) {
      int side = random.nextInt(3);
      double at = table.split[node];
      row[feature] = side == 0 ? at : side == 1 ? Math.nextUp(at) : Math.nextDown(at);
    }
  }

  /** One of the feature's levels, or one more. */
  private int level(int feature, Random random) {
    return random.nextInt(table.levels[feature] + 1);
  }
}
