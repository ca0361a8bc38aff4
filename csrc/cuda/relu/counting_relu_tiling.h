#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>

#include "cuda/common/divider.h"
#include "relu/counters.h"
#include "relu/unit_layout.h"

// The elements of each block of counting_relu's kernel, and where it counts them. Torch-free.

namespace relustat::cuda {

constexpr int kCountingReluThreads = 512;
constexpr int kCountingReluBlocksPerProcessor = 2;
// Threads count the zeros of a column in as few as 16 bits.
constexpr int64_t kMostZerosInColumn = 0xffff;
// The words of a block's shared memory before its counts.
constexpr int64_t kControlBytes = 128;
// The largest number of units, and of elements in a row, for arithmetic in 32 bits.
constexpr int64_t kMostColumns = int64_t{1} << 30;
// A unit may have fewer neighbouring elements than a vector.
constexpr int64_t kMostUnits = kMostColumns / 8;

// The limits of a device, or of a test.
struct CountingReluLimits {
  int64_t threads;       // of a block; whole warps
  int64_t blocks;        // at most
  int64_t shared_bytes;  // of a block
  int64_t most_pending;  // elements that a block may count before it adds them to the counters
};

// How blocks walk through the tensor. A thread's columns stay those of the same units, so that it
// counts their zeros in registers.
//
// Down: the tensor is a matrix [outer, units * inner], `fold` rows of which are one where only so
// they are whole vectors. A strip is some columns of it.
// Along: where there are few of those rows, and long ones. A strip is the elements that one unit
// has side by side, as a matrix whose rows are as long as the block is wide. It begins with the
// first vector that begins in it, so its last one may reach into the next unit.
//
// A block walks down its strips, as many rows at once as it has threads for: a chunk. Its share is
// a run of chunks, strip after strip. The last row of a strip may be shorter.
struct CountingReluTiling {
  int64_t elements;
  int64_t elements_per_unit;
  int64_t units;
  int64_t inner;
  int64_t stride;  // elements from one row of a strip to the next
  bool along;
  int32_t rows;         // complete ones, if down
  int32_t row_vectors;  // vectors of a row
  int32_t strips;
  int32_t strip_vectors;  // of one row
  int32_t rows_at_once;   // in a chunk
  int64_t chunk_stride;   // elements from one chunk to the next
  int32_t chunks;         // of a strip
  int32_t most_chunks;    // that can be counted without adding them to the counters
  int64_t most_pending;
  int32_t blocks;
  int32_t share;          // chunks of a block
  int32_t longer_shares;  // so many blocks have one more
  int32_t strip_units;    // the most whose elements a strip has
  Divider<int32_t> by_units;
  Divider<int32_t> by_inner;
  Divider<int32_t> by_chunks;
  Divider<int32_t> by_strip_vectors;
  // The table of counts in shared memory. Counts of slots are [slots, rows, copies], those of keys
  // [keys, copies]: copies keep lanes out of each other's way. Without, counts are in global
  // memory.
  int32_t table_words;
  int32_t histogram_rows;
  int32_t copies;
  int32_t slot_bytes;  // from one slot to the next
  int32_t words;       // of that table, and of the counts of the strip's units behind it
  int64_t shared_bytes;
};

namespace tiling {

// Blocks add each unit of a strip to the counters: fewer than this many are few.
constexpr int64_t kFewUnits = 256;
// A strip of fewer chunks is left before its first loads have come.
constexpr int64_t kFewChunks = 8;

inline int64_t ceil_divide(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Of strips at most so wide, those that leave few threads without a vector.
inline int64_t busy_width(int64_t row_vectors, int64_t widest, int64_t threads, int64_t rows) {
  int64_t best = 1;
  int64_t most_busy = 0;
  const int64_t most_at_once = std::min<int64_t>(rows, threads);
  for (int64_t at_once = ceil_divide(threads, widest); at_once <= most_at_once; ++at_once) {
    const int64_t strips = ceil_divide(row_vectors, threads / at_once);
    const int64_t width = ceil_divide(row_vectors, strips);
    const int64_t busy = threads / width * width;
    if (busy > most_busy) {
      most_busy = busy;
      best = width;
    }
    if (10 * busy >= 9 * threads) break;
  }
  return best;
}

// How the tensor is cut. `vector`: number of elements that are loaded at once.
class Cut {
 public:
  Cut(const UnitLayout& layout, int64_t vector, int64_t threads)
      : layout_(layout), vector_(vector), threads_(threads) {
    t_.elements = layout.elements();
    t_.elements_per_unit = layout.elements_per_unit();
    t_.units = layout.units;
    t_.inner = layout.inner;
    if (is_long()) {
      cut_along();
    } else {
      cut_down();
    }
  }

  // Strips of at most this number of vectors.
  void set_strips(int64_t vectors) {
    if (!t_.along) {
      t_.strips = static_cast<int32_t>(ceil_divide(t_.row_vectors, vectors));
      t_.strip_vectors = static_cast<int32_t>(ceil_divide(t_.row_vectors, t_.strips));
      // A strip may begin and end within a unit.
      const int64_t units = ceil_divide(t_.strip_vectors * vector_ - 1, t_.inner) + 1;
      t_.strip_units = static_cast<int32_t>(std::min(units, ceil_divide(t_.stride, t_.inner)));
    }
    t_.rows_at_once = std::max(static_cast<int32_t>(threads_) / t_.strip_vectors, 1);
    t_.chunks = static_cast<int32_t>(
        t_.along ? ceil_divide(ceil_divide(t_.inner, vector_), t_.strip_vectors)
                 : ceil_divide(all_rows(), t_.rows_at_once));
    t_.chunk_stride = t_.rows_at_once * t_.stride;
  }

  int64_t chunk_elements() const { return int64_t{t_.rows_at_once} * t_.strip_vectors * vector_; }
  CountingReluTiling& tiling() { return t_; }

 private:
  bool is_long() const {
    if (layout_.units == 1 || layout_.inner < vector_) return false;
    if (layout_.units * layout_.inner >= kMostColumns) return true;
    const int64_t width = threads_ * vector_;
    return layout_.outer < kFewChunks && layout_.inner >= kFewChunks * width;
  }

  void cut_along() {
    t_.along = true;
    t_.strips = static_cast<int32_t>(layout_.outer * layout_.units);
    t_.strip_vectors = static_cast<int32_t>(threads_);
    t_.stride = threads_ * vector_;
    t_.strip_units = t_.inner % vector_ == 0 ? 1 : 2;
    set_strips(threads_);
  }

  void cut_down() {
    int64_t columns = layout_.units * layout_.inner;
    if (layout_.units == 1) {
      // Any rows will do; these are one strip.
      columns = std::min(t_.elements, threads_ * vector_);
      t_.inner = kMostColumns;
    }
    int64_t fold = vector_ / std::gcd(columns, vector_);
    while (t_.elements / (columns * fold) >= kMostColumns) fold *= 2;
    t_.stride = columns * fold;
    t_.rows = static_cast<int32_t>(t_.elements / t_.stride);
    const int64_t in_row = t_.rows > 0 ? t_.stride : t_.elements;
    t_.row_vectors = static_cast<int32_t>(ceil_divide(in_row, vector_));
    // Wide strips are read in longer runs; narrow ones have fewer units to add to the counters.
    // With few rows, only wide ones have a vector for each thread.
    const int64_t few_units = std::max<int64_t>(kFewUnits * t_.inner / vector_, 32);
    const int64_t for_few_rows = threads_ / std::min(all_rows(), threads_);
    const int64_t widest = std::min(std::max(few_units, for_few_rows), threads_);
    set_strips(busy_width(t_.row_vectors, widest, threads_, all_rows()));
  }

  int64_t all_rows() const { return t_.rows + (t_.rows * t_.stride < t_.elements ? 1 : 0); }

  const UnitLayout& layout_;
  int64_t vector_;
  int64_t threads_;
  CountingReluTiling t_{};
};

// The number of copies of the counts that fit and pay off. To clear them and to add them up must
// cost little compared with counting a block's elements. For many counts of few elements it is 0.
inline int32_t copies_that_fit(int64_t counts, int64_t words, int64_t elements, int32_t most) {
  if (counts > words || counts > 4 * elements) return 0;
  int32_t copies = most;
  while (copies > 1 && (counts * copies > words || counts * copies > elements / 8)) copies /= 2;
  return copies;
}

inline void share_out(CountingReluTiling& t, int64_t chunk_elements,
                      const CountingReluLimits& limits) {
  const int64_t chunks = int64_t{t.strips} * t.chunks;
  t.blocks = static_cast<int32_t>(std::min(limits.blocks, chunks));
  t.share = static_cast<int32_t>(chunks / t.blocks);
  t.longer_shares = static_cast<int32_t>(chunks % t.blocks);
  t.most_pending = std::min(limits.most_pending, kMostZerosInColumn * chunk_elements);
  t.most_chunks = static_cast<int32_t>(std::max<int64_t>(t.most_pending / chunk_elements, 1));
  t.by_units = Divider<int32_t>(t.units);
  t.by_inner = Divider<int32_t>(std::min(t.inner, kMostColumns));
  t.by_chunks = Divider<int32_t>(t.chunks);
  t.by_strip_vectors = Divider<int32_t>(t.strip_vectors);
}

}  // namespace tiling

// What a way of counting holds in shared memory. Each copy of the counts has `words` of them, for
// each unit of a strip if there are histograms per unit; `besides` are those that are no copies.
struct CountingTable {
  int64_t words;
  int64_t besides;
  int32_t most_copies;
  bool per_unit;
  bool whole;           // there must be one copy, whatever it costs
  int32_t of_unit = 1;  // words for each unit of a strip, besides its bins

  static CountingTable of_slots(const CounterLayout& counters) {
    // With 8, four lanes of a warp may want the same bank at a time.
    return {counters.slots, 0, 8, counters.rows > 1, false};
  }
};

// `vector`: elements that are loaded at once.
inline CountingReluTiling make_counting_relu_tiling(const UnitLayout& layout, int64_t vector,
                                                    const CountingTable& table,
                                                    const CountingReluLimits& limits) {
  tiling::Cut cut(layout, vector, limits.threads);
  CountingReluTiling& t = cut.tiling();
  const auto words_left = [&] {
    const int64_t of_units = int64_t{t.strip_units} * table.of_unit;
    return (limits.shared_bytes - kControlBytes) / 4 - of_units - table.besides;
  };
  // An odd number for each slot: lanes with neighbouring slots have different banks.
  const auto counts_of_strip = [&] {
    return table.words * (table.per_unit ? t.strip_units | 1 : 1);
  };
  t.histogram_rows = 1;
  if (table.per_unit) {
    const int32_t width = t.strip_vectors;
    while (!t.along && counts_of_strip() > words_left() && t.strip_vectors > 1) {
      cut.set_strips((t.strip_vectors + 1) / 2);
    }
    if (counts_of_strip() > words_left()) cut.set_strips(width);
    t.histogram_rows = t.strip_units;
  }
  tiling::share_out(t, cut.chunk_elements(), limits);
  t.copies = tiling::copies_that_fit(counts_of_strip(), words_left(), t.elements / t.blocks,
                                     table.most_copies);
  if (t.copies == 0 && table.whole && counts_of_strip() <= words_left()) t.copies = 1;
  int32_t slot_words = t.histogram_rows * t.copies;
  if (table.per_unit && t.copies == 1) slot_words |= 1;
  t.slot_bytes = 4 * slot_words;
  t.table_words = static_cast<int32_t>(table.words * slot_words + table.besides);
  t.words = t.table_words + t.strip_units * table.of_unit;
  t.shared_bytes = kControlBytes + 4 * int64_t{t.words};
  return t;
}

}  // namespace relustat::cuda
