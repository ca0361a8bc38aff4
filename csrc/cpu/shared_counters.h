#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <mutex>

namespace relustat::cpu {

// Calls from several threads may share counters. A call adds all its counts under this mutex. A
// read or a reset of the counters holds it, too. Nothing that is done under it waits for Python's
// global lock: a thread that forks the process holds that one, and waits for all mutexes.
std::mutex& mutex_of(const int64_t* counters);

// A copy; and 0 for all words but `every`. Neither sees half of a call of another thread.
at::Tensor snapshot(const at::Tensor& counters);
void reset(const at::Tensor& counters);

}  // namespace relustat::cpu
