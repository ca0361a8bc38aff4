#include "cpu/shared_counters.h"

#include <ATen/ops/empty_like.h>
#include <pthread.h>

#include <algorithm>
#include <array>

#include "relu/counters.h"

namespace relustat::cpu {
namespace {

std::array<std::mutex, 64> mutexes;

void lock_all() {
  for (std::mutex& each : mutexes) each.lock();
}

void unlock_all() {
  for (std::mutex& each : mutexes) each.unlock();
}

// A forked process has this thread only. A mutex that another thread held would be held for ever,
// and its counters would have half of a call.
[[maybe_unused]] const int kAtFork = pthread_atfork(lock_all, unlock_all, unlock_all);

}  // namespace

std::mutex& mutex_of(const int64_t* counters) {
  return mutexes[reinterpret_cast<uintptr_t>(counters) / 64 % mutexes.size()];
}

at::Tensor snapshot(const at::Tensor& counters) {
  // Before the mutex: a mode of Python's may see this op.
  at::Tensor copy = at::empty_like(counters);
  const auto* const words = counters.const_data_ptr<int64_t>();
  const std::lock_guard lock(mutex_of(words));
  std::copy_n(words, counters.numel(), copy.mutable_data_ptr<int64_t>());
  return copy;
}

void reset(const at::Tensor& counters) {
  auto* const words = counters.mutable_data_ptr<int64_t>();
  const std::lock_guard lock(mutex_of(words));
  std::fill(words + CounterLayout::kTicks, words + counters.numel(), 0);
}

}  // namespace relustat::cpu
