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
// Threads count the zeros of a column in as few as 16 bits.
constexpr int64_t kMostZerosInColumn = 0xffff;
// What a block holds in shared memory before its counts.
constexpr int64_t kControlBytes = 160;

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
// A block walks down strips of columns, as many rows at once as it has threads for: a chunk. Its
// share is a run of chunks, strip after strip.
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
  int64_t rows_at_once;   // in a chunk
  int64_t chunks;         // of a strip
  int64_t most_chunks;    // that can be counted without adding them to the counters
  int64_t most_pending;
  int64_t blocks;
  int32_t strip_units;  // the most whose elements a strip has
  // Counts in shared memory are [slots, rows, copies]: copies keep lanes out of each other's way.
  // Without copies, counts are in global memory.
  int32_t histogram_rows;
  int32_t copies;
  int32_t slot_words;  // from one slot to the next

  int64_t all_rows() const { return rows + (rows * row < elements ? 1 : 0); }
  RELUSTAT_HOST_DEVICE int64_t shared_words(int64_t slots) const {
    return strip_units + slots * slot_words;
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

// How many copies of the counts fit, and pay: to clear and to add them up must cost little beside
// counting the elements of a block. Many counts of few elements are better off without.
inline int32_t copies_that_fit(int64_t counts, int64_t words, int64_t elements) {
  if (counts > words || counts > 4 * elements) return 0;
  int32_t copies = 32;
  while (copies > 1 && (counts * copies > words || counts * copies > elements / 16)) copies /= 2;
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
  t.row_vectors = t.rows > 0 ? t.row / vector : ceil_divide(t.elements, vector);

  // Wide strips are read in longer runs; narrow ones have fewer units to add to the counters. With
  // few rows, only wide ones have a vector for each thread.
  const int64_t few_units = std::max<int64_t>(tiling::kFewUnits * t.inner / vector, 32);
  const int64_t for_few_rows = limits.threads / std::min(t.all_rows(), limits.threads);
  const int64_t widest = std::min(std::max(few_units, for_few_rows), limits.threads);
  const int64_t width = tiling::busy_width(t.row_vectors, widest, limits.threads, t.all_rows());
  tiling::set_strips(t, width, vector);
  const int64_t slots = counters.slots;
  const auto words_left = [&] { return (limits.shared_bytes - kControlBytes) / 4 - t.strip_units; };
  // An odd number for each slot: lanes with neighbouring slots have different banks.
  const auto counts_of_strip = [&] { return slots * (t.strip_units | 1); };
  t.histogram_rows = 1;
  if (counters.rows > 1) {
    for (int64_t vectors = t.strip_vectors;; vectors = ceil_divide(vectors, 2)) {
      tiling::set_strips(t, vectors, vector);
      if (counts_of_strip() <= words_left() || vectors == 1) break;
    }
    if (counts_of_strip() > words_left()) tiling::set_strips(t, width, vector);
    t.histogram_rows = t.strip_units;
  }

  t.rows_at_once = std::max<int64_t>(limits.threads / t.strip_vectors, 1);
  t.chunks = ceil_divide(t.all_rows(), t.rows_at_once);
  t.blocks = std::min(limits.blocks, t.strips * t.chunks);
  const int64_t in_chunk = t.rows_at_once * t.strip_vectors * vector;
  t.most_pending = std::min(limits.most_pending, kMostZerosInColumn * in_chunk);
  t.most_chunks = std::max<int64_t>(t.most_pending / in_chunk, 1);
  const int64_t elements_of_block = t.elements / t.blocks;
  t.copies = tiling::copies_that_fit(counters.rows > 1 ? counts_of_strip() : slots, words_left(),
                                     elements_of_block);
  t.slot_words = t.histogram_rows * t.copies;
  if (counters.rows > 1 && t.copies == 1) t.slot_words |= 1;
  return t;
}

}  // namespace relustat::cuda
