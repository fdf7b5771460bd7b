package forestflow;

import java.util.Arrays;

/**
 * The trees of a forest as arrays of nodes, which are walked several times as fast as the compressed trees of a MOJO.
 *
 * <p>A node's children lie side by side. Where a row goes at a split of numbers is the sign of a difference, at a split
 * of levels a bit of a set, so that a walk has no branch to mispredict; and eight trees are walked at a time, so that
 * none waits for memory alone. A leaf leads to itself. A row's leaves are added up in the order of the trees: the sums
 * are those of H2O to the last bit.
 */
final class TreeTable {
  /** Trees that are walked at a time. */
  static final int LANES = 8;

  /** A split that only what is missing reaches. */
  static final double BEYOND = Double.MAX_VALUE;

  /** Stands for all greater numbers; a split of numbers is a float. */
  private static final double GREATEST = 1e308;

  /** Rows for which a group of trees is walked before the next group is, and the cells that they may have. */
  private static final int BLOCK_ROWS = 64;

  private static final int BLOCK_CELLS = 1 << 14;

  final int[] levels; // by feature: how many it has, -1 for numbers
  final int[][] roots; // by class, in the order of the trees: LANES to a group, at the end some that are a leaf of zero
  final int[][] depths; // by class and group: steps to the farthest leaf
  final boolean[][] numeric; // by class and group: whether its trees split by numbers alone

  // Nodes.
  double[] split; // numbers from which on a row goes right; of a leaf, less than any
  int[] cell; // twice the feature, and one more where a missing value goes right
  int[] left; // the left child, after which comes the right one; of a leaf, the node before itself
  float[] value; // of a leaf
  int[] set; // where in sets the bits begin: one never set, and one for each level that goes right
  int[] sets; // at first as many zeros as a set has at most, for nodes that split by numbers

  TreeTable(int[] levels, int classes, int trees) {
    this.levels = levels;
    int groups = (trees + LANES - 1) / LANES;
    roots = new int[classes][groups * LANES];
    depths = new int[classes][groups];
    numeric = new boolean[classes][groups];
    split = new double[0];
    cell = new int[0];
    left = new int[0];
    value = new float[0];
    set = new int[0];
    int most = Arrays.stream(levels).max().orElse(0);
    sets = new int[words(Math.max(0, most))];
  }

  /** Words that a set of levels takes. */
  static int words(int levels) {
    return (levels >> 5) + 1;
  }

  /** Makes room for so many nodes. */
  void resize(int nodes) {
    split = Arrays.copyOf(split, nodes);
    cell = Arrays.copyOf(cell, nodes);
    left = Arrays.copyOf(left, nodes);
    value = Arrays.copyOf(value, nodes);
    set = Arrays.copyOf(set, nodes);
  }

  /** Rows that are scored together. Each thread has one of its own. */
  final class Block {
    private final int features = levels.length;

    /** How many rows it takes. */
    final int capacity = Math.max(1, Math.min(BLOCK_ROWS, BLOCK_CELLS / (2 * features + 1)));

    private final double[][] rows = new double[capacity][features];
    private final double[][] cells = new double[capacity][2 * features + 1]; // the last is what leaves look at
    private final int[][] places = new int[capacity][features + 1]; // of each feature's level in any set
    private final double[][] sums = new double[capacity][roots.length];

    /** The encoded features of a row, to be filled in. */
    double[] row(int at) {
      return rows[at];
    }

    /** Of the first rows, by class, the sums of their leaves. */
    double[][] sums(int count) {
      for (int i = 0; i < count; i++) {
        spread(rows[i], cells[i], places[i]);
        Arrays.fill(sums[i], 0);
      }
      for (int k = 0; k < roots.length; k++) {
        for (int group = 0; group < depths[k].length; group++) {
          if (numeric[k][group]) {
            addNumeric(count, k, group);
          } else {
            add(count, k, group);
          }
        }
      }
      return sums;
    }

    /** Each feature twice: a missing one is less, and more, than any number. */
    private void spread(double[] row, double[] twice, int[] at) {
      for (int i = 0; i < features; i++) {
        double number = Math.min(row[i], GREATEST) + 0.0; // no minus zero: a difference of zeros is to have no sign
        boolean missing = Double.isNaN(number);
        if (levels[i] >= 0) {
          missing |= number >= levels[i];
          at[i] = missing ? 0 : 1 + (int) number;
        }
        twice[2 * i] = missing ? Double.NEGATIVE_INFINITY : number;
        twice[2 * i + 1] = missing ? Double.POSITIVE_INFINITY : number;
      }
    }

    private void addNumeric(int count, int k, int group) {
      final double[] at = split;
      final int[] of = cell;
      final int[] next = left;
      final int steps = depths[k][group];
      for (int i = 0; i < count; i++) {
        final double[] row = cells[i];
        int tree = group * LANES;
        int a = roots[k][tree];
        int b = roots[k][tree + 1];
        int c = roots[k][tree + 2];
        int d = roots[k][tree + 3];
        int e = roots[k][tree + 4];
        int f = roots[k][tree + 5];
        int g = roots[k][tree + 6];
        int h = roots[k][tree + 7];
        for (int step = 0; step < steps; step++) {
          a = next[a] + 1 + sign(row[of[a]] - at[a]);
          b = next[b] + 1 + sign(row[of[b]] - at[b]);
          c = next[c] + 1 + sign(row[of[c]] - at[c]);
          d = next[d] + 1 + sign(row[of[d]] - at[d]);
          e = next[e] + 1 + sign(row[of[e]] - at[e]);
          f = next[f] + 1 + sign(row[of[f]] - at[f]);
          g = next[g] + 1 + sign(row[of[g]] - at[g]);
          h = next[h] + 1 + sign(row[of[h]] - at[h]);
        }
        sums[i][k] = sum(sums[i][k], a, b, c, d, e, f, g, h);
      }
    }

    private void add(int count, int k, int group) {
      final double[] at = split;
      final int[] of = cell;
      final int[] next = left;
      final int steps = depths[k][group];
      for (int i = 0; i < count; i++) {
        final double[] row = cells[i];
        final int[] place = places[i];
        int tree = group * LANES;
        int a = roots[k][tree];
        int b = roots[k][tree + 1];
        int c = roots[k][tree + 2];
        int d = roots[k][tree + 3];
        int e = roots[k][tree + 4];
        int f = roots[k][tree + 5];
        int g = roots[k][tree + 6];
        int h = roots[k][tree + 7];
        for (int step = 0; step < steps; step++) {
          a = next[a] + (1 + sign(row[of[a]] - at[a]) | bit(a, place[of[a] >> 1]));
          b = next[b] + (1 + sign(row[of[b]] - at[b]) | bit(b, place[of[b] >> 1]));
          c = next[c] + (1 + sign(row[of[c]] - at[c]) | bit(c, place[of[c] >> 1]));
          d = next[d] + (1 + sign(row[of[d]] - at[d]) | bit(d, place[of[d] >> 1]));
          e = next[e] + (1 + sign(row[of[e]] - at[e]) | bit(e, place[of[e] >> 1]));
          f = next[f] + (1 + sign(row[of[f]] - at[f]) | bit(f, place[of[f] >> 1]));
          g = next[g] + (1 + sign(row[of[g]] - at[g]) | bit(g, place[of[g] >> 1]));
          h = next[h] + (1 + sign(row[of[h]] - at[h]) | bit(h, place[of[h] >> 1]));
        }
        sums[i][k] = sum(sums[i][k], a, b, c, d, e, f, g, h);
      }
    }
  }

  /** -1 for a number below zero, else 0. */
  private static int sign(double difference) {
    return (int) (Double.doubleToRawLongBits(difference) >> 63);
  }

  /** 1 where that place of the node's set is set, else 0. */
  private int bit(int node, int place) {
    return sets[set[node] + (place >> 5)] >> place & 1;
  }

  private double sum(double before, int a, int b, int c, int d, int e, int f, int g, int h) {
    return before + value[a] + value[b] + value[c] + value[d] + value[e] + value[f] + value[g] + value[h];
  }
}
