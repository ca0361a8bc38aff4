#pragma once

#include "cases.h"
#include "cuda/pool/pooling_call.h"

// Fewer threads than positions: each has several.
constexpr int kBlocks = 2;
constexpr int kBlockThreads = 32;

inline relustat::WindowNumbers take_window(Case& call) {
  relustat::WindowNumbers window;
  for (int64_t* number : {&window.input, &window.output, &window.kernel, &window.stride,
                          &window.padding, &window.dilation}) {
    *number = call.take();
  }
  return window;
}

inline void take_pooling(Case& call, relustat::cuda::PoolingCall& pooling_call) {
  pooling_call.planes = call.take();
  pooling_call.channels = call.take();
  const relustat::WindowNumbers d = take_window(call);
  const relustat::WindowNumbers h = take_window(call);
  pooling_call.pooling = {d, h, take_window(call)};
  if (call.take() != 0) pooling_call.most_narrow_positions = 0;
}
