#include "cpu/counted_calls.h"

#include <ATen/Parallel.h>
#include <ATen/ops/any.h>
#include <ATen/ops/item.h>
#include <torch/csrc/autograd/graph_task.h>

#include <algorithm>
#include <limits>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/dtype_of.h"
#include "cpu/denormals.h"
#include "cpu/dispatch.h"
#include "cpu/grain.h"
#include "cpu/kernels/pool/pool_stream.h"
#include "cpu/kernels/relu/tiling.h"
#include "cpu/scratch.h"
#include "cpu/shared_counters.h"
#include "relu/dense_relu.h"

namespace relustat::cpu {
namespace {

// The largest scratch memory that a thread keeps from call to call.
constexpr size_t kMostScratchWordsKept = size_t{1} << 18;

// What stays in a processor's cache, or nearly so.
constexpr int64_t kMostStreamBytes = int64_t{2} << 20;

// With fewer strips, threads work on neighbours, and wait for each other's cache lines.
constexpr int64_t kStripsPerThread = 4;

using Optional = std::optional<at::Tensor>;

// No other count is larger than that of elements, but for the calls seen. Calls of other threads
// may be under way: what they add too much is found when the counters are read.
void check_room(const int64_t* counters, int64_t elements) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  const int64_t counted = counters[CounterLayout::kElements];
  if (elements <= kMost - counted && counters[CounterLayout::kTicks] < kMost) return;
  throw std::overflow_error("Counters: counts must stay below 2**63, got " +
                            std::to_string(counted) + " elements and a call with " +
                            std::to_string(elements) + " more");
}

// The counts of a call, or of a thread's share of it.
struct Counts {
  std::vector<int64_t> zeros;
  std::vector<int64_t> saturated;  // empty without an upper knee
  std::vector<int64_t> histogram;

  Counts(const CounterLayout& layout, int64_t histogram_words)
      : zeros(layout.units),
        saturated(layout.saturates ? layout.units : 0),
        histogram(histogram_words) {}

  void add(const Counts& other) {
    for (size_t i = 0; i < zeros.size(); ++i) zeros[i] += other.zeros[i];
    for (size_t i = 0; i < saturated.size(); ++i) saturated[i] += other.saturated[i];
    for (size_t i = 0; i < histogram.size(); ++i) histogram[i] += other.histogram[i];
  }
};

// Holds the mutex of the counters. hidden: the elements of a unit that the mask leaves out, which
// are in slot 0: see relu/mask.h.
void add_call(const Counts& call, const CounterLayout& layout, int64_t elements_per_unit,
              int64_t hidden, const Optional& blocks, int64_t* counters) {
  counters[CounterLayout::kCalls] += 1;
  counters[CounterLayout::kElements] += (elements_per_unit - hidden) * layout.units;
  if (blocks.has_value()) {
    const auto* const counts = blocks->const_data_ptr<int64_t>();
    counters[CounterLayout::kBlocks] += counts[0];
    counters[CounterLayout::kZeroBlocks] += counts[1];
  }
  int64_t* const since_fired = counters + layout.since_fired();
  for (int64_t unit = 0; unit < layout.units; ++unit) {
    const bool is_dead = call.zeros[unit] == elements_per_unit - hidden;
    counters[layout.zeros() + unit] += call.zeros[unit];
    if (layout.saturates) counters[layout.saturated() + unit] += call.saturated[unit];
    counters[layout.dead_calls() + unit] += is_dead ? 1 : 0;
    since_fired[unit] = is_dead ? since_fired[unit] + 1 : 0;
  }
  if (hidden == 0) return;
  const int64_t in_row = layout.rows > 1 ? hidden : hidden * layout.units;
  if (layout.slots > 1) {
    for (int64_t row = 0; row < layout.rows; ++row) {
      counters[layout.histogram() + row * layout.slots] -= in_row;
    }
  }
}

bool goes_by_strips(const UnitLayout& units, const Optional& mask, const CounterLayout& layout) {
  return !mask.has_value() && layout.rows > 1 && units.inner < kShortestRow &&
         layout.slots <= kMostUnitSlots;
}

int64_t stream_bytes(const PooledTensor& pooled) {
  return StreamLayout(pooled, WindowRows(pooled), kSpan).bytes;
}

// Runs a kernel on a thread's share, with a scratch for its pool if it has one.
void run_share(void (*kernel)(const CountingReluShare&), CountingReluShare share) {
  const KeepDenormals keep_denormals;
  if (share.pooled == nullptr) return kernel(share);
  const Scratch scratch(stream_bytes(*share.pooled));
  share.pool_scratch = scratch.memory();
  kernel(share);
}

}  // namespace

bool takes_turn(const at::Tensor& x, const CountingArguments& arguments) {
  if (x.numel() == 0 || torch::autograd::get_current_graph_task_id() != -1) return false;
  if (arguments.mask.has_value() && !arguments.mask->any().item<bool>()) return false;
  auto* const counters = arguments.counters.mutable_data_ptr<int64_t>();
  const std::lock_guard lock(mutex_of(counters));
  const int64_t every = counters[CounterLayout::kEvery];
  if (every <= 0) return false;
  check_room(counters, x.numel());
  return counters[CounterLayout::kTicks]++ % every == 0;
}

bool can_stream(const PooledTensor& pooled) { return stream_bytes(pooled) <= kMostStreamBytes; }

bool counts_in_order(const at::Tensor& x, const CountingArguments& arguments,
                     const CounterLayout& layout) {
  return !goes_by_strips(dense_unit_layout(x, arguments.unit_dim), arguments.mask, layout);
}

void rectify_and_count(const at::Tensor& x, void* y, const PooledTensor* pooled,
                       const CountingArguments& arguments, const CounterLayout& layout,
                       const void* observed) {
  const auto& [counters, edges, unit_dim, binning, mask, blocks, activation, numbers, slopes] =
      arguments;
  const UnitLayout units = dense_unit_layout(x, unit_dim);
  CountingReluShare whole{};
  whole.x = x.const_data_ptr();
  whole.y = y;
  whole.pooled = pooled;
  whole.dtype = dtype_of(x);
  whole.activation = activation;
  whole.numbers = numbers;
  whole.slopes = slopes.defined() ? slopes.const_data_ptr() : nullptr;
  whole.has_slope_per_unit = slopes.defined() && slopes.numel() > 1;
  whole.observed = observed;
  at::Tensor kept;
  int64_t hidden = 0;
  if (mask.has_value()) {
    kept = dense_mask(*mask, x, unit_dim);
    const auto* const bytes = static_cast<const uint8_t*>(kept.const_data_ptr());
    hidden = std::count(bytes, bytes + kept.numel(), 0);
    whole.mask = bytes;
  }
  whole.outer = units.outer;
  whole.units = units.units;
  whole.inner = units.inner;
  whole.edges = edges.const_data_ptr<float>();
  whole.bins = edges.numel() == 0 ? 0 : edges.numel() - 1;
  whole.binning = binning;
  whole.unit_histograms = layout.rows > 1;
  const int64_t scratch_words =
      make_tiling(whole.units, whole.inner, whole.bins, static_cast<Binning>(binning),
                  x.element_size() == 2, activation != Activation::kRelu)
          .words;

  const auto count = [&](CountingReluShare share, Counts& counts, int64_t* histogram) {
    // It is kept from call to call, because the kernel leaves it 0.
    thread_local std::vector<uint32_t> scratch;
    if (scratch.size() < static_cast<size_t>(scratch_words)) scratch.resize(scratch_words);
    share.zeros = counts.zeros.data();
    share.saturated = layout.saturates ? counts.saturated.data() : nullptr;
    share.histogram = histogram;
    share.scratch = scratch.data();
    run_share(kernels().counting_relu, share);
    if (scratch.size() > kMostScratchWordsKept) std::vector<uint32_t>().swap(scratch);
  };
  const int64_t elements = units.elements();
  whole.by_strips = goes_by_strips(units, mask, layout);
  whole.begin = 0;
  whole.end = whole.by_strips ? UnitStrips(units.outer, units.units, units.inner).strips : elements;
  whole.row_begin = 0;
  whole.row_end = units.outer;
  auto* const words = counters.mutable_data_ptr<int64_t>();
  const bool has_enough_strips =
      whole.by_strips && whole.end >= kStripsPerThread * at::get_num_threads();
  if (has_enough_strips || layout.rows * layout.slots > elements) {
    // Strips share no units. Otherwise to make and merge a histogram of this call would take longer
    // than to count.
    Counts call(layout, 0);
    const std::lock_guard lock(mutex_of(words));
    const int64_t grain = whole.by_strips ? grain_of(elements / whole.end) : whole.end;
    at::parallel_for(0, whole.end, grain, [&](int64_t begin, int64_t end) {
      CountingReluShare share = whole;
      share.begin = begin;
      share.end = end;
      count(share, call, words + layout.histogram());
    });
    add_call(call, layout, units.elements_per_unit(), hidden, blocks, words);
    return;
  }
  Counts call(layout, layout.rows * layout.slots);
  const int64_t parts = whole.by_strips ? units.outer : elements;
  const int64_t grain = grain_of(elements / parts);
  if (parts <= grain || at::get_num_threads() == 1) {
    count(whole, call, call.histogram.data());
  } else {
    std::mutex call_mutex;
    at::parallel_for(0, parts, grain, [&](int64_t begin, int64_t end) {
      CountingReluShare share = whole;
      (whole.by_strips ? share.row_begin : share.begin) = begin;
      (whole.by_strips ? share.row_end : share.end) = end;
      Counts counts(layout, layout.rows * layout.slots);
      count(share, counts, counts.histogram.data());
      const std::lock_guard lock(call_mutex);
      call.add(counts);
    });
  }
  const std::lock_guard lock(mutex_of(words));
  add_call(call, layout, units.elements_per_unit(), hidden, blocks, words);
  for (int64_t i = 0; i < layout.rows * layout.slots; ++i) {
    words[layout.histogram() + i] += call.histogram[i];
  }
}

void rectify_and_pool(const at::Tensor& x, const PooledTensor& pooled) {
  CountingReluShare whole{};
  whole.x = x.const_data_ptr();
  whole.pooled = &pooled;
  whole.dtype = dtype_of(x);
  at::parallel_for(0, x.numel(), kGrain, [&](int64_t begin, int64_t end) {
    CountingReluShare share = whole;
    share.begin = begin;
    share.end = end;
    run_share(kernels().rectify_and_pool, share);
  });
}

}  // namespace relustat::cpu
