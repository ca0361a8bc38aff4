#pragma once

#include "cuda/common/shared_memory.cuh"
#include "cuda/relu/call_protocol.cuh"
#include "cuda/relu/counting_relu_call.h"
#include "cuda/relu/strip.cuh"
#include "cuda/relu/word.h"
#include "relu/mask.h"

namespace relustat::cuda {

// One block of counting_relu's kernel, and of its relatives'. Counter: how it counts elements into
// bins. kMasked: whether the call has a mask. Access: how it reads elements, and writes outputs.
// Columns: what makes an output of an element, and counts by unit those without activity.
template <class Format, class Counter, int kVector, bool kMasked, class Access, class Columns>
class CountingReluBlock {
 public:
  template <class Call>
  __device__ explicit CountingReluBlock(const Call& call)
      : call_(call),
        tiling_(call.tiling),
        vector_(threadIdx.x - threadIdx.x / tiling_.strip_vectors * tiling_.strip_vectors),
        row_(threadIdx.x / tiling_.strip_vectors),
        access_(call),
        columns_(call) {}

  __device__ void run() {
    ask_for_first_rows();
    // Two threads wait for memory while the others clear.
    if (threadIdx.x == 0) control().counts = takes_turn(call_);
    if (threadIdx.x == blockDim.x - 1) control().made = Counter::make(call_);
    auto* const words = reinterpret_cast<uint32_t*>(shared_memory() + kControlBytes);
    for (int32_t i = threadIdx.x; i < tiling_.words; i += blockDim.x) words[i] = 0;
    __syncthreads();
    Counter counter(call_, control().made);
    const bool counts = control().counts;
    if (counts) {
      counter.prepare();
      __syncthreads();
      walk_share<true>(counter);
      add_to_counters(counter, true);
    } else if constexpr (Access::kWrites) {
      walk_share<false>(counter);
    }
    finish(counts);
  }

 private:
  using Bits = typename Format::Bits;
  using Vector = cuda::Vector<Format, kVector>;
  using Loaded = typename Access::Loaded;
  using Single = typename Access::Single;
  using Cursor = typename Access::Cursor;

  // Vectors that are loaded before the first one is used.
  static constexpr int kInFlight =
      Counter::kUnroll < Columns::kMostInFlight ? Counter::kUnroll : Columns::kMostInFlight;

  struct Control {
    bool counts;
    bool is_last;
    typename Counter::Made made;
  };
  static_assert(sizeof(Control) <= kControlBytes);

  __device__ Control& control() const { return *reinterpret_cast<Control*>(shared_memory()); }

  // The block's chunks. `strip` and `chunk`: the position of the first one.
  struct Share {
    int32_t chunks;
    int32_t strip;
    int32_t chunk;
  };
  __device__ Share share() const {
    const auto block = static_cast<int32_t>(blockIdx.x);
    const bool is_longer = block < tiling_.longer_shares;
    const int32_t begin = block * tiling_.share + (is_longer ? block : tiling_.longer_shares);
    const int32_t strip = tiling_.by_chunks.quotient(begin);
    return {tiling_.share + (is_longer ? 1 : 0), strip, begin - strip * tiling_.chunks};
  }

  // Loads are under way while the block prepares.
  __device__ void ask_for_first_rows() const {
    const Share first = share();
    const Strip strip = Strip::at<kVector>(first.strip, tiling_);
    const int32_t row = first.chunk * tiling_.rows_at_once + row_;
    if (row_ >= tiling_.rows_at_once || vector_ >= strip.width || row >= strip.rows) return;
    access_.prefetch(access_.at(element_at(strip, row)));
  }

  __device__ int64_t element_at(const Strip& strip, int32_t row) const {
    return strip.first + row * tiling_.stride + column();
  }
  __device__ int32_t column() const { return vector_ * kVector; }  // in the strip
  __device__ bool is_idle() const {
    return row_ >= tiling_.rows_at_once || vector_ >= strip_.width;
  }
  // Zeros of idle threads belong to the same unit, from earlier and wider strips.
  __device__ int32_t counted_column() const { return is_idle() ? 0 : column(); }

  // What is counted between two additions to the counters: zeros of the strip in registers, or of
  // more strips of the same unit; in shared memory the histogram of the strip's units, or of all
  // strips if there is one histogram.
  template <bool kCounts>
  __device__ void walk_share(Counter& counter) {
    Share ahead = share();
    int64_t pending = 0;
    while (ahead.chunks > 0) {
      int32_t n = tiling_.chunks - ahead.chunk;
      n = n < ahead.chunks ? n : ahead.chunks;
      n = n < tiling_.most_chunks ? n : tiling_.most_chunks;
      const Strip next = Strip::at<kVector>(ahead.strip, tiling_);
      if constexpr (kCounts) {
        const int64_t elements =
            int64_t{n} * tiling_.rows_at_once * tiling_.strip_vectors * kVector;
        const bool is_full = pending + elements > tiling_.most_pending;
        pending = is_full ? elements : pending + elements;
        if (strip_.positions > 0 && (is_full || !strip_.is_of_one_unit_with(next))) {
          add_to_counters(counter, is_full || counter.is_per_unit());
          __syncthreads();
        }
      }
      strip_ = next;
      if constexpr (kCounts) counter.enter(strip_, counted_column());
      walk_rows<kCounts>(counter, ahead.chunk * tiling_.rows_at_once,
                         (ahead.chunk + n) * tiling_.rows_at_once);
      ahead.chunks -= n;
      ahead.chunk += n;
      if (ahead.chunk == tiling_.chunks) {
        ahead.chunk = 0;
        ++ahead.strip;
      }
    }
  }

  template <bool kCounts>
  __device__ void walk_rows(Counter& counter, int32_t begin, int32_t end) {
    const bool is_idle = this->is_idle();
    const Cursor start = access_.at(element_at(strip_, begin + row_));
    const int32_t rows = (end < strip_.rows ? end : strip_.rows) - begin;
    if constexpr (kCounts && Counter::kTogether) {
      walk_together(counter, start, is_idle ? 0 : rows - row_, rows);
    } else {
      walk_alone<kCounts, kInFlight>(counter, start, is_idle ? 0 : rows - row_);
    }
    // Chunks may lie beyond it: strips along a row differ by a vector.
    const bool has_last_row = begin <= strip_.rows && strip_.rows < end;
    if (has_last_row && row_ == 0 && !is_idle) walk_last_row<kCounts>(counter);
  }

  // `left`: rows from the thread's first one on.
  template <bool kCounts, int kUnroll>
  __device__ void walk_alone(Counter& counter, Cursor at, int32_t left) {
    const int32_t at_once = tiling_.rows_at_once;
    const int64_t step = tiling_.chunk_stride;
    while (left > (kUnroll - 1) * at_once) {
      Loaded vectors[kUnroll];
#pragma unroll
      for (int u = 0; u < kUnroll; ++u) {
        vectors[u] = access_.load(at, u * step);
      }
#pragma unroll
      for (int u = 0; u < kUnroll; ++u) {
        access_.store(at, u * step, visit<kCounts>(counter, vectors[u], at, u * step));
      }
      left -= kUnroll * at_once;
      at.advance(kUnroll * step);
    }
    if constexpr (kUnroll > 1) walk_alone<kCounts, kUnroll / 2>(counter, at, left);
  }

  // All lanes of a warp run the same iterations. `all_left`: rows of the thread with the most.
  __device__ void walk_together(Counter& counter, Cursor at, int32_t left, int32_t all_left) {
    const int32_t at_once = tiling_.rows_at_once;
    const int64_t step = tiling_.chunk_stride;
    for (; all_left > 0; all_left -= at_once, left -= at_once, at.advance(step)) {
      Loaded vector{};
      const bool is_here = left > 0;
      if (is_here) vector = access_.load(at, 0);
      if constexpr (kMasked) {
        const Loaded seen = is_here ? masked(vector, access_.element(at)) : vector;
        counter.count_together(Access::input(seen), is_here);
        if (is_here) {
          columns_.activate_and_count(seen, false, strip_, column());
          access_.store(at, 0, columns_.activated(vector, strip_, column()));
        }
      } else {
        counter.count_together(Access::input(vector), is_here);
        if (is_here) {
          access_.store(at, 0, columns_.activate_and_count(vector, false, strip_, column()));
        }
      }
    }
  }

  template <bool kCounts>
  __device__ Vector visit(Counter& counter, const Loaded& x, [[maybe_unused]] const Cursor& at,
                          [[maybe_unused]] int64_t ahead) {
    if constexpr (!kCounts) {
      return columns_.activated(x, strip_, column());
    } else if constexpr (kMasked) {
      const Loaded seen = masked(x, access_.element(at) + ahead);
      columns_.activate_and_count(seen, counter.count(Access::input(seen)), strip_, column());
      return columns_.activated(x, strip_, column());
    } else {
      return columns_.activate_and_count(x, counter.count(Access::input(x)), strip_, column());
    }
  }

  __device__ bool has_mask() const {
    return kMasked && (!Columns::kMayLackMask || call_.mask != nullptr);
  }
  __device__ MaskWalk mask_at(int64_t element) const {
    return {call_.mask, {0, tiling_.units, tiling_.inner}, element};
  }

  // What is counted of a vector that begins with this element.
  __device__ Loaded masked(Loaded x, int64_t element) const {
    if (!has_mask()) return x;
    MaskWalk mask = mask_at(element);
#pragma unroll
    for (int v = 0; v < kVector; ++v) {
      if (*mask.now() == 0) access_.hide(x, v);
      mask.advance(1);
    }
    return x;
  }

  // The last row may end within a vector.
  template <bool kCounts>
  __device__ void walk_last_row(Counter& counter) {
    const int64_t begin = element_at(strip_, strip_.rows);
    if (begin >= strip_.end) return;
    if (!Access::kHasSingles || begin + kVector <= strip_.end) {
      walk_alone<kCounts, 1>(counter, access_.at(begin), 1);
      return;
    }
    if constexpr (Access::kHasSingles) walk_singles<kCounts>(counter, begin);
  }

  template <bool kCounts>
  __device__ void walk_singles(Counter& counter, int64_t begin) {
    for (int v = 0; v < kVector && begin + v < tiling_.elements; ++v) {
      const int64_t element = begin + v;
      const Single bits = access_.load_single(element);
      const int32_t position = strip_.position_at_end(column() + v, element, tiling_);
      if constexpr (kCounts) {
        const bool is_hidden = has_mask() && *mask_at(element).now() == 0;
        const Single seen = is_hidden ? access_.hidden() : bits;
        columns_.count_at(seen, strip_, position);
        counter.count_at(Access::input(seen), strip_, position);
      }
      access_.store_single(element, columns_.activated_at(bits, strip_, position));
    }
  }

  // A barrier must follow before the block counts again.
  __device__ void add_to_counters(Counter& counter, bool histogram_too) {
    columns_.add_to_workspace(strip_, counted_column());
    if (histogram_too) counter.add_to_counters(strip_);
  }

  // The last block sees the counts of all others, and closes the call.
  __device__ void finish(bool counts) {
    __syncthreads();
    if (threadIdx.x == 0) control().is_last = is_last_to_finish(call_);
    __syncthreads();
    if (!control().is_last) return;
    if (counts) {
      close_units(call_);
      columns_.close();
    }
    if (threadIdx.x == 0) close_call(call_, counts);
  }

  const CountingReluCall& call_;
  const CountingReluTiling& tiling_;
  const int32_t vector_;  // the thread's, in a row of the strip
  const int32_t row_;     // the thread's, of those that the block looks at together
  const Access access_;
  Columns columns_;
  Strip strip_{};
};

}  // namespace relustat::cuda
