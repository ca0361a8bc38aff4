#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>

#include "../counters.h"
#include "../unit_layout.h"

// Which elements each block of counting_relu's kernel sees, and where it counts them. Torch-free.

namespace relustat::cuda {

constexpr int kCountingReluThreads = 512;
constexpr int kCountingReluBlocksPerProcessor = 2;
// Vectors that a thread loads before it looks at the first.
constexpr int kUnroll = 2;
// Threads count the zeros of a column in as few as 16 bits.
constexpr int64_t kMostZerosInColumn = 0xffff;
// What a block holds in shared memory before its counts.
constexpr int64_t kControlBytes = 128;

// What a device, or a test, grants.
struct CountingReluLimits {
  int64_t threads;       // of a block; whole warps
  int64_t blocks;        // at most
  int64_t shared_bytes;  // of a block
  int64_t most_pending;  // elements that a block may count before it adds them to the counters
};

// The tensor as a matrix whose columns belong to the same unit in every row, so that a thread which
// stays in its column counts zeros in registers: [outer, units * inner], `fold` rows of which are
// one where only so they are whole vectors. The last row may be shorter.
//
// A block walks down strips of columns, as many rows at once as it has threads for. Its share is a
// run of chunks: pieces of a strip, strip after strip.
struct CountingReluTiling {
  int64_t elements;
  int64_t elements_per_unit;
  int64_t units;
  int64_t inner;
  int64_t row;            // elements of a row
  int64_t rows;           // complete ones
  int64_t row_vectors;    // vectors of a row
  int64_t strips;         // side by side
  int64_t strip_vectors;  // of one row
  int64_t rows_at_once;
  int64_t chunk_rows;
  int64_t chunks;       // of a strip
  int64_t most_chunks;  // that can be counted without adding them to the counters
  int64_t most_pending;
  int64_t blocks;
  int32_t strip_units;  // the most whose elements a strip has
  // Counts in shared memory are [slots, rows, copies]: copies keep lanes out of each other's way.
  // Without copies they are in global memory.
  int32_t histogram_rows;
  int32_t copies;

  int64_t all_rows() const { return rows + (rows * row < elements ? 1 : 0); }
  RELUSTAT_HOST_DEVICE int64_t shared_words(int64_t slots) const {
    return strip_units + slots * histogram_rows * copies;
  }
  int64_t shared_bytes(int64_t slots) const { return kControlBytes + 4 * shared_words(slots); }
};

namespace tiling {

// Blocks add each unit of a strip to the counters: fewer than this many are few.
constexpr int64_t kFewUnits = 256;

inline int64_t ceil_divide(int64_t a, int64_t b) { return (a + b - 1) / b; }

inline int64_t most_units(const CountingReluTiling& t, int64_t vectors, int64_t vector) {
  // A strip may begin and end in the midst of a unit.
  return std::min(ceil_divide(vectors * vector - 1, t.inner) + 1, ceil_divide(t.row, t.inner));
}

inline void set_strips(CountingReluTiling& t, int64_t vectors, int64_t vector) {
  t.strips = ceil_divide(t.row_vectors, vectors);
  t.strip_vectors = ceil_divide(t.row_vectors, t.strips);
  t.strip_units = static_cast<int32_t>(most_units(t, t.strip_vectors, vector));
}

// How many copies of the counts fit, and pay: clearing and adding them up must cost little beside
// counting the elements of a block.
inline int32_t copies_that_fit(int64_t counts, int64_t words, int64_t elements) {
  if (counts > words) return 0;
  int32_t copies = 32;
  while (copies > 1 && (counts * copies > words || counts * copies > elements / 4)) copies /= 2;
  return copies;
}

}  // namespace tiling

// `vector`: elements that are loaded at once.
inline CountingReluTiling make_counting_relu_tiling(const UnitLayout& layout, int64_t vector,
                                                    const CounterLayout& counters,
                                                    const CountingReluLimits& limits) {
  using tiling::ceil_divide;
  CountingReluTiling t{};
  t.elements = layout.elements();
  t.elements_per_unit = layout.elements_per_unit();
  t.units = layout.units;
  t.inner = layout.units == 1 ? t.elements : layout.inner;
  int64_t columns = layout.units * layout.inner;
  if (layout.units == 1) {
    // Any rows do; these are one strip.
    columns = std::min(t.elements, limits.threads * vector);
  }
  const int64_t fold = vector / std::gcd(columns, vector);
  t.row = columns * fold;
  t.rows = t.elements / t.row;
  t.row_vectors = t.row / vector;

  // Wide strips are read in longer runs; narrow ones have fewer units to add to the counters.
  const int64_t narrow = std::max<int64_t>(tiling::kFewUnits * t.inner / vector, 32);
  const int64_t wide = std::min(narrow, limits.threads);
  tiling::set_strips(t, wide, vector);
  const auto words_left = [&] { return (limits.shared_bytes - kControlBytes) / 4 - t.strip_units; };
  t.histogram_rows = 1;
  const int64_t slots = counters.slots;
  if (counters.rows > 1) {
    for (int64_t vectors = t.strip_vectors;; vectors = ceil_divide(vectors, 2)) {
      tiling::set_strips(t, vectors, vector);
      if (slots * t.strip_units <= words_left() || vectors == 1) break;
    }
    if (slots * t.strip_units > words_left()) tiling::set_strips(t, wide, vector);
    t.histogram_rows = t.strip_units;
  }

  t.rows_at_once = std::max<int64_t>(limits.threads / t.strip_vectors, 1);
  t.chunk_rows = t.rows_at_once * kUnroll;
  if (t.strips * ceil_divide(t.all_rows(), t.chunk_rows) < limits.blocks) {
    t.chunk_rows = t.rows_at_once;
  }
  t.chunks = ceil_divide(t.all_rows(), t.chunk_rows);
  t.blocks = std::min(limits.blocks, t.strips * t.chunks);
  const int64_t at_once = t.rows_at_once * t.strip_vectors * vector;
  t.most_pending = std::min(limits.most_pending, kMostZerosInColumn * at_once);
  t.most_chunks = std::max<int64_t>(t.most_pending / (t.chunk_rows * t.strip_vectors * vector), 1);
  t.copies = tiling::copies_that_fit(slots * t.histogram_rows, words_left(), t.elements / t.blocks);
  return t;
}

}  // namespace relustat::cuda
