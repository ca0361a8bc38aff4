#pragma once

#include "cuda/common/shared_memory.cuh"
#include "cuda/relu/counting_activation_call.h"
#include "cuda/relu/observed_access.cuh"
#include "cuda/relu/strip.cuh"
#include "cuda/relu/unit_sums.cuh"
#include "cuda/relu/word.h"

namespace relustat::cuda {

// The activations that a kernel is for. If there are several, threads ask for each vector which one
// it is, and all have the same answer.
enum class Members {
  kKnees,        // those with knees: see CountingActivationCall
  kOthers,       // all others
  kAll,          // both
  kOnlyCounted,  // all, and there is no output
};

// Activates, and counts the inactive and the saturated elements of a thread's columns: in
// registers, then by unit of the strip in shared memory, then in the workspace. column_zeros.cuh
// has the same for ReLU.
template <class Format, int kVector, Members kMembers>
class FamilyColumns {
 public:
  using Bits = typename Format::Bits;
  using Vector = cuda::Vector<Format, kVector>;
  using Call = CountingActivationCall<Format>;
  // The general counter's kernels are for calls with a mask and without.
  static constexpr bool kMayLackMask = true;
  // What is observed takes registers, and before sm_90 the same code takes more of them.
  static constexpr int kMostInFlight =
      in_flight(kMembers == Members::kOnlyCounted ? 2 : 4, sizeof(float));

  __device__ explicit FamilyColumns(const Call& call) : call_(call) {}

  // x: a vector, or what is observed with it. `column`: its first one in the strip.
  template <class Loaded>
  __device__ Vector activate_and_count(const Loaded& x, bool, const Strip& strip, int32_t column) {
    const Vector& seen = looked_at(x);
    Vector y;
    with_bodies(strip, column, [&](const auto& body_of) {
#pragma unroll
      for (int v = 0; v < kVector; ++v) {
        counts_[v] += body_of(v).is_inactive(seen[v]) ? kOneInactive : 0;
        counts_[v] += body_of(v).is_saturated(seen[v]) ? kOneSaturated : 0;
      }
      y = Vector::of([&](int v) { return body_of(v).output(seen[v]); });
    });
    return y;
  }

  template <class Loaded>
  __device__ Vector activated(const Loaded& x, const Strip& strip, int32_t column) const {
    const Vector& seen = looked_at(x);
    Vector y;
    with_bodies(strip, column, [&](const auto& body_of) {
      y = Vector::of([&](int v) { return body_of(v).output(seen[v]); });
    });
    return y;
  }

  // The same of an element of a position that is none of the thread's columns.
  template <class Single>
  __device__ void count_at(const Single& single, const Strip& strip, int32_t position) const {
    const Bits seen = looked_at(single);
    with_body_at(strip, position, [&](const auto& body_of) {
      if (body_of(0).is_inactive(seen)) atomicAdd(inactive() + position, 1u);
      if (body_of(0).is_saturated(seen)) atomicAdd(saturated() + position, 1u);
    });
  }
  template <class Single>
  __device__ Bits activated_at(const Single& single, const Strip& strip, int32_t position) const {
    const Bits seen = looked_at(single);
    Bits y = 0;
    with_body_at(strip, position, [&](const auto& body_of) { y = body_of(0).output(seen); });
    return y;
  }

  // Adds the counts of the thread's columns to the workspace; `column` is the first one. All
  // threads call it, and need a barrier before they count again.
  __device__ void add_to_workspace(const Strip& strip, int32_t column) {
    const CountingReluTiling& t = call_.tiling;
    const int64_t units = call_.layout.units;
    add_columns_to_units<kVector>(strip, column, t, inactive(),
                                  [&](int v) { return counts_[v] % kOneSaturated; });
    if (call_.layout.saturates) {
      add_columns_to_units<kVector>(strip, column, t, saturated(),
                                    [&](int v) { return counts_[v] / kOneSaturated; });
    }
#pragma unroll
    for (int v = 0; v < kVector; ++v) counts_[v] = 0;
    __syncthreads();
    move_units_to_workspace(strip, t, inactive(), call_.workspace + Workspace::kZeros);
    if (call_.layout.saturates) {
      move_units_to_workspace(strip, t, saturated(), call_.workspace + Workspace::saturated(units));
    }
  }

  // The last block adds the saturated elements of the call to the counters. As close_units(), it
  // loads several words before it uses the first one.
  __device__ void close() const {
    if (!call_.layout.saturates) return;
    constexpr int kAtOnce = 4;
    const int64_t threads = blockDim.x;
    const int64_t units = call_.layout.units;
    Count* const of_call = call_.workspace + Workspace::saturated(units);
    for (int64_t first = threadIdx.x; first < units; first += kAtOnce * threads) {
      Count counts[kAtOnce];
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        const int64_t unit = first + i * threads;
        counts[i] = unit < units ? load_global(of_call + unit) : 0;
      }
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        const int64_t unit = first + i * threads;
        if (counts[i] == 0) continue;
        of_call[unit] = 0;
        add_global(call_.counters + call_.layout.saturated() + unit, counts[i]);
      }
    }
  }

 private:
  using Bodies = FamilyBodies<Format>;
  using Value = typename Format::Value;
  // A word counts both: a column has at most kMostZerosInColumn of each.
  static constexpr uint32_t kOneInactive = 1;
  static constexpr uint32_t kOneSaturated = static_cast<uint32_t>(kMostZerosInColumn) + 1;

  __device__ uint32_t* inactive() const {  // [strip_units]
    return reinterpret_cast<uint32_t*>(shared_memory() + kControlBytes) + call_.tiling.table_words;
  }
  // Likewise; only if the activation has an upper knee.
  __device__ uint32_t* saturated() const { return inactive() + call_.tiling.strip_units; }

  // Calls visit(body_of): body_of(v) is what activates an element of column v.
  template <class Visit>
  __device__ void with_bodies(const Strip& strip, int32_t column, const Visit& visit) const {
    with_bodies_of<kVector>(
        [&](const auto& set) {
          strip.template for_each_position<kVector>(column, call_.tiling, set);
        },
        strip, visit);
  }
  template <class Visit>
  __device__ void with_body_at(const Strip& strip, int32_t position, const Visit& visit) const {
    with_bodies_of<1>([&](const auto& set) { set(0, position); }, strip, visit);
  }

  // for_each_position(set): calls set(v, position) for each of kCount columns.
  template <int kCount, class ForEach, class Visit>
  __device__ void with_bodies_of(const ForEach& for_each_position, const Strip& strip,
                                 const Visit& visit) const {
    const auto same = [&](const auto& body) { visit([&](int) -> const auto& { return body; }); };
    if constexpr (kMembers == Members::kOnlyCounted) {
      same(call_.bodies.activity);
    } else if constexpr (kMembers == Members::kKnees) {
      same(call_.bodies.knees);
    } else if (call_.activation == Activation::kSlope) {
      Value slopes[kCount];
      set_slopes(slopes, for_each_position, strip);
      visit([&](int v) { return Slope<typename Bodies::Computed>({slopes[v], 0}); });
    } else if (call_.activation == Activation::kSquare) {
      same(call_.bodies.square);
    } else if (kMembers == Members::kAll && call_.has_knees()) {
      same(call_.bodies.knees);
    } else {
      same(call_.bodies.zero_keeping_clamp);
    }
  }

  template <int kCount, class ForEach>
  __device__ void set_slopes(Value (&slopes)[kCount], const ForEach& for_each_position,
                             const Strip& strip) const {
    if (call_.has_slope_per_unit) {
      for_each_position([&](int v, int32_t position) {
        slopes[v] = Format::value(call_.slopes[strip.unit_of(position, call_.tiling)]);
      });
      return;
    }
    const bool is_number = call_.slopes == nullptr;
    const Value slope = is_number ? call_.bodies.slope.slope : Format::value(*call_.slopes);
#pragma unroll
    for (int v = 0; v < kCount; ++v) slopes[v] = slope;
  }

  const Call& call_;
  uint32_t counts_[kVector] = {};
};

}  // namespace relustat::cuda
