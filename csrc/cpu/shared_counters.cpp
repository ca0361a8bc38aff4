#include "cpu/shared_counters.h"

#include <ATen/ops/clone.h>

#include <algorithm>

#include "relu/counters.h"

namespace relustat::cpu {

at::Tensor snapshot(const at::Tensor& counters) {
  const std::lock_guard lock(mutex_of(counters.const_data_ptr<int64_t>()));
  return counters.clone();
}

void reset(const at::Tensor& counters) {
  auto* const words = counters.mutable_data_ptr<int64_t>();
  const std::lock_guard lock(mutex_of(words));
  std::fill(words + CounterLayout::kTicks, words + counters.numel(), 0);
}

}  // namespace relustat::cpu
