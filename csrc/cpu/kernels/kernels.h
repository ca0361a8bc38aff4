#pragma once

#include "activation_hash.h"
#include "check_switches.h"
#include "counting_relu.h"
#include "max_pool.h"
#include "max_unpool.h"
#include "max_unpool_backward.h"

namespace relustat::cpu {

// Every loop, compiled for one instruction set.
struct Kernels {
  void (*counting_relu)(const CountingReluShare&);
  void (*activation_hash)(const ActivationHashShare&);
  void (*max_pool)(const MaxPoolShare&);
  bool (*check_switches)(const SwitchesShare&);
  void (*max_unpool)(const MaxUnpoolShare&);
  void (*max_unpool_backward)(const MaxUnpoolBackwardShare&);
};

extern const Kernels kBaselineKernels;
#if defined(__x86_64__)
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;
#endif

}  // namespace relustat::cpu
