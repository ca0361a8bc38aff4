#pragma once

#include "cpu/kernels/activation/activation_hash.h"
#include "cpu/kernels/pool/check_switches.h"
#include "cpu/kernels/pool/max_pool.h"
#include "cpu/kernels/pool/max_unpool.h"
#include "cpu/kernels/pool/max_unpool_backward.h"
#include "cpu/kernels/relu/counting_relu.h"

namespace relustat::cpu {

// Every loop, compiled for one instruction set.
struct Kernels {
  void (*counting_relu)(const CountingReluShare&);
  void (*rectify_and_pool)(const CountingReluShare&);
  void (*activation_hash)(const ActivationHashShare&);
  void (*max_pool)(const MaxPoolShare&);
  bool (*check_switches)(const SwitchesShare&);
  bool (*max_unpool)(const MaxUnpoolShare&);
  void (*max_unpool_backward)(const MaxUnpoolBackwardShare&);
};

// The sources in the folder of that name define the functions.
#define RELUSTAT_KERNELS(isa)                                    \
  namespace isa {                                                \
  void counting_relu_share(const CountingReluShare&);            \
  void rectify_and_pool_share(const CountingReluShare&);         \
  void activation_hash_share(const ActivationHashShare&);        \
  void max_pool_share(const MaxPoolShare&);                      \
  bool check_switches_share(const SwitchesShare&);               \
  bool max_unpool_share(const MaxUnpoolShare&);                  \
  void max_unpool_backward_share(const MaxUnpoolBackwardShare&); \
  inline constexpr Kernels kKernels = {                          \
      .counting_relu = counting_relu_share,                      \
      .rectify_and_pool = rectify_and_pool_share,                \
      .activation_hash = activation_hash_share,                  \
      .max_pool = max_pool_share,                                \
      .check_switches = check_switches_share,                    \
      .max_unpool = max_unpool_share,                            \
      .max_unpool_backward = max_unpool_backward_share,          \
  };                                                             \
  }

RELUSTAT_KERNELS(baseline)
#if defined(__x86_64__)
RELUSTAT_KERNELS(avx2)
RELUSTAT_KERNELS(avx512)
#endif
#undef RELUSTAT_KERNELS

}  // namespace relustat::cpu
