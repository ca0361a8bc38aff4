#pragma once

#include "../with_format.h"
#include "block_histogram.cuh"
#include "call_protocol.cuh"
#include "counting_relu_call.h"
#include "make_binner.h"
#include "pack.h"
#include "shared_memory.cuh"
#include "strip.cuh"
#include "word.h"

// The CUDA kernel of counting_relu. Torch-free: tests/cuda_host runs it without a GPU.

namespace relustat::cuda {

// What one block does. Without bins a histogram has one slot, of NaNs.
// kShared: there is one histogram, and it fits into shared memory.
template <class Format, Binning kBinning, int kVector, bool kShared>
class CountingReluBlock {
 public:
  __device__ explicit CountingReluBlock(const CountingReluCall& call)
      : call_(call),
        tiling_(call.tiling),
        histogram_(call, unit_zeros() + call.tiling.strip_units) {}

  __device__ void run() {
    // Two threads that wait for memory, while the others clear.
    if (threadIdx.x == 0) {
      control().counts = takes_turn(call_);
      control().strip.places = 0;
    }
    if (threadIdx.x == blockDim.x - 1) {
      control().binner = make_binner<Value, kBinning>(call_.edges, call_.bins);
    }
    const int32_t words = static_cast<int32_t>(tiling_.shared_words(call_.layout.slots));
    for (int32_t i = threadIdx.x; i < words; i += blockDim.x) unit_zeros()[i] = 0;
    __syncthreads();
    binner_ = control().binner;
    counts_ = control().counts;
    walk_share();
    if (counts_) add_to_counters(true);
    finish();
  }

 private:
  using Bits = typename Format::Bits;
  using Value = typename Format::Value;
  static constexpr int kInWord = sizeof(Bits) == 2 && kVector > 1 ? 2 : 1;
  static constexpr int kWords = kVector / kInWord;
  using Word = cuda::Word<Format, kInWord>;
  using Vector = Pack<typename Word::Bits, kWords>;
  using Binner = decltype(make_binner<Value, kBinning>(nullptr, 0));
  static constexpr uint32_t kAllLanes = 0xffffffffu;
  static constexpr bool kHasBins = kBinning != Binning::kNone;
  // Vectors that a thread loads before it looks at the first.
  static constexpr int kUnroll = kShared ? 2 : 1;

  struct Control {
    bool counts;
    bool is_last;
    Strip strip;
    Strip next;
    Binner binner;
  };
  static_assert(sizeof(Control) <= kControlBytes);

  __device__ Control& control() const { return *reinterpret_cast<Control*>(shared_memory()); }
  __device__ uint32_t* unit_zeros() const {  // [strip_units]
    return reinterpret_cast<uint32_t*>(shared_memory() + kControlBytes);
  }

  __device__ void walk_share() {
    const int64_t all = tiling_.strips * tiling_.chunks;
    const int64_t begin = all * blockIdx.x / gridDim.x;
    int64_t left = all * (blockIdx.x + 1) / gridDim.x - begin;
    int64_t strip = begin / tiling_.chunks;
    int64_t chunk = begin - strip * tiling_.chunks;
    int64_t pending = 0;
    while (left > 0) {
      int64_t n = tiling_.chunks - chunk;
      n = n < left ? n : left;
      n = n < tiling_.most_chunks ? n : tiling_.most_chunks;
      const int64_t elements = n * tiling_.rows_at_once * tiling_.strip_vectors * kVector;
      const bool is_full = pending + elements > tiling_.most_pending;
      enter(strip, is_full);
      pending = is_full ? elements : pending + elements;
      walk_rows(chunk * tiling_.rows_at_once, (chunk + n) * tiling_.rows_at_once);
      left -= n;
      chunk += n;
      if (chunk == tiling_.chunks) {
        chunk = 0;
        ++strip;
      }
    }
  }

  // What is counted between two calls of this, and was not added to the counters: zeros of the
  // strip in registers, or of more strips of the same unit; in shared memory the histogram of the
  // strip's units, or of all strips if there is one histogram.
  __device__ void enter(int64_t index, bool is_full) {
    if (threadIdx.x == 0) control().next = Strip::at(index, tiling_, kVector);
    __syncthreads();
    const Strip next = control().next;
    const Strip& strip = control().strip;
    const bool stays = strip.is_of_one_unit_with(next);
    if (strip.places > 0 && counts_ && (is_full || !stays)) {
      add_to_counters(is_full || histogram_.is_per_unit());
    } else {
      __syncthreads();
    }
    if (threadIdx.x == 0) control().strip = next;
    __syncthreads();
    histogram_.enter(next, stand().vector * kVector);
  }

  // The thread's vector in a row of the strip, and which of the rows that the block looks at
  // together; idle threads have none.
  struct Stand {
    int32_t vector;
    int32_t row;
    bool is_idle;
  };

  __device__ Stand stand() const {
    const int32_t width = static_cast<int32_t>(tiling_.strip_vectors);
    const int32_t row = threadIdx.x / width;
    const int32_t vector = threadIdx.x - row * width;
    const bool is_idle = row >= tiling_.rows_at_once ||
                         control().strip.index * width + vector >= tiling_.row_vectors;
    return {is_idle ? 0 : vector, row, is_idle};
  }

  // Calls visit(v, place in the strip) for each of the thread's columns.
  template <class Visit>
  __device__ void for_each_place(const Visit& visit) const {
    control().strip.template for_each_place<kVector>(stand().vector * kVector, visit);
  }

  __device__ void walk_rows(int64_t begin, int64_t end) {
    const int32_t at_once = static_cast<int32_t>(tiling_.rows_at_once);
    const int64_t step = at_once * tiling_.row;
    const Stand stand = this->stand();
    const int64_t column = (control().strip.index * tiling_.strip_vectors + stand.vector) * kVector;
    const int64_t complete = end < tiling_.rows ? end : tiling_.rows;
    const int64_t start = (begin + stand.row) * tiling_.row + column;
    const Bits* x = static_cast<const Bits*>(call_.x) + start;
    Bits* y = static_cast<Bits*>(call_.y) + start;
    // All lanes go through the loop alike: some of what they do, they do together.
    const int32_t all_left = static_cast<int32_t>(complete - begin);
    int32_t left = stand.is_idle ? 0 : all_left - stand.row;
    for (int32_t row = 0; row < all_left; row += kUnroll * at_once) {
      Vector vectors[kUnroll];
#pragma unroll
      for (int u = 0; u < kUnroll; ++u) {
        if (u * at_once < left) vectors[u] = *reinterpret_cast<const Vector*>(x + u * step);
      }
#pragma unroll
      for (int u = 0; u < kUnroll; ++u) {
        const bool is_here = u * at_once < left;
        if (counts_) count(vectors[u], is_here);
        if (is_here) *reinterpret_cast<Vector*>(y + u * step) = rectified(vectors[u]);
      }
      left -= kUnroll * at_once;
      x += kUnroll * step;
      y += kUnroll * step;
    }
    if (end > tiling_.rows && stand.row == 0 && !stand.is_idle)
      walk_last_row(tiling_.rows * tiling_.row + column);
  }

  // The last row ends anywhere, in the midst of a vector too.
  __device__ void walk_last_row(int64_t begin) {
    const Bits* const x = static_cast<const Bits*>(call_.x) + begin;
    Bits* const y = static_cast<Bits*>(call_.y) + begin;
    if (begin + kVector <= tiling_.elements) {
      const Vector vector = *reinterpret_cast<const Vector*>(x);
      if (counts_) count_each(vector);
      *reinterpret_cast<Vector*>(y) = rectified(vector);
      return;
    }
    using One = cuda::Word<Format, 1>;
#pragma unroll
    for (int v = 0; v < kVector; ++v) {
      if (begin + v >= tiling_.elements) break;
      const Bits bits = x[v];
      if (counts_) count_one(bits, v);
      y[v] = One::rectified(bits);
      zeros_[v / kInWord] += One::zeros(y[v]) << (v % kInWord * 16);
    }
  }

  __device__ Vector rectified(const Vector& x) {
    Vector y;
#pragma unroll
    for (int i = 0; i < kWords; ++i) {
      y.of[i] = Word::rectified(x.of[i]);
      zeros_[i] += Word::zeros(y.of[i]);
    }
    return y;
  }

  static __device__ Bits element(const Vector& vector, int v) {
    return Word::element(vector.of[v / kInWord], v % kInWord);
  }

  __device__ void count(const Vector& vector, bool is_here) {
    if (!kHasBins || histogram_.is_in_shared_memory()) {
      if (is_here) count_each(vector);
    } else if constexpr (kHasBins) {
#pragma unroll
      for (int v = 0; v < kVector; ++v) {
        histogram_.add_globally_together(is_here ? slot_of(element(vector, v)) : -1, v);
      }
    }
  }

  __device__ void count_each(const Vector& vector) {
#pragma unroll
    for (int v = 0; v < kVector; ++v) count_one(element(vector, v), v);
  }

  __device__ void count_one(Bits bits, int v) {
    if constexpr (kHasBins) {
      histogram_.add(slot_of(bits), v);
    } else {
      if (is_nan<Format>(bits)) histogram_.add(0, v);
    }
  }

  __device__ int32_t slot_of(Bits bits) const { return binner_.slot(Format::value(bits)); }

  __device__ uint32_t zeros_of(int v) const {
    return Word::count(zeros_[v / kInWord], v % kInWord);
  }

  // Barriers for the block, before and after.
  __device__ void add_to_counters(bool histogram_too) {
    add_zeros();
    if (histogram_too) histogram_.add_to_counters(control().strip);
    __syncthreads();
  }

  // From registers, by way of shared memory, to the workspace.
  __device__ void add_zeros() {
    int32_t first_place = 0;
    int32_t last_place = 0;
    uint32_t all_zeros = 0;
    for_each_place([&](int v, int32_t place) {
      first_place = v == 0 ? place : first_place;
      last_place = place;
      all_zeros += zeros_of(v);
    });
    const int32_t place_of_first = __shfl_sync(kAllLanes, first_place, 0);
    if (__all_sync(kAllLanes, first_place == place_of_first && last_place == place_of_first)) {
#pragma unroll
      for (int distance = 16; distance > 0; distance /= 2) {
        all_zeros += __shfl_xor_sync(kAllLanes, all_zeros, distance);
      }
      if (threadIdx.x % 32 == 0) atomicAdd(unit_zeros() + first_place, all_zeros);
    } else {
      for_each_place([&](int v, int32_t place) {
        if (zeros_of(v) > 0) atomicAdd(unit_zeros() + place, zeros_of(v));
      });
    }
#pragma unroll
    for (int i = 0; i < kWords; ++i) zeros_[i] = 0;
    __syncthreads();
    for (int32_t place = threadIdx.x; place < control().strip.places; place += blockDim.x) {
      const uint32_t zeros = unit_zeros()[place];
      if (zeros == 0) continue;
      unit_zeros()[place] = 0;
      atomicAdd(call_.workspace + Workspace::kZeros + control().strip.unit_of(place, tiling_),
                Count{zeros});
    }
  }

  // The last block to come here sees what all others added, and closes the call.
  __device__ void finish() {
    __syncthreads();
    if (threadIdx.x == 0) control().is_last = is_last_to_finish(call_);
    __syncthreads();
    if (!control().is_last) return;
    if (counts_) close_units(call_);
    if (threadIdx.x == 0) close_call(call_, counts_);
  }

  const CountingReluCall& call_;
  const CountingReluTiling& tiling_;
  BlockHistogram<kVector, kShared> histogram_;
  Binner binner_{};
  bool counts_ = false;
  uint32_t zeros_[kWords] = {};  // of the thread's columns; means nothing if nothing counts
};

template <class Format, Binning kBinning, int kVector, bool kShared>
__global__ void __launch_bounds__(kCountingReluThreads, kCountingReluBlocksPerProcessor)
    counting_relu_kernel(const __grid_constant__ CountingReluCall call) {
  CountingReluBlock<Format, kBinning, kVector, kShared>(call).run();
}

// Calls launch(kernel, call) with the call's tiling filled in.
template <class Launch>
void with_counting_relu_kernel(Dtype dtype, Binning binning, const UnitLayout& units,
                               const CountingReluLimits& limits, CountingReluCall call,
                               const Launch& launch) {
  with_format(dtype, [&]<class Format>() {
    constexpr int kPack = kPackBytes / sizeof(typename Format::Bits);
    // NaNs are counted in all.
    if (binning == Binning::kNone) call.layout.rows = 1;
    const bool is_packed = is_aligned(call.x, kPackBytes) && is_aligned(call.y, kPackBytes);
    call.tiling = make_counting_relu_tiling(units, is_packed ? kPack : 1, call.layout, limits);
    const bool is_shared = call.layout.rows == 1 && call.tiling.copies > 0;
    const auto with_binning = [&]<Binning kBinning>() {
      if (!is_packed) return launch(counting_relu_kernel<Format, kBinning, 1, false>, call);
      if (!is_shared) return launch(counting_relu_kernel<Format, kBinning, kPack, false>, call);
      return launch(counting_relu_kernel<Format, kBinning, kPack, true>, call);
    };
    switch (binning) {
      case Binning::kNone:
        return with_binning.template operator()<Binning::kNone>();
      case Binning::kSearch:
        return with_binning.template operator()<Binning::kSearch>();
      case Binning::kLinear:
        return with_binning.template operator()<Binning::kLinear>();
      case Binning::kLog:
        return with_binning.template operator()<Binning::kLog>();
    }
  });
}

}  // namespace relustat::cuda
