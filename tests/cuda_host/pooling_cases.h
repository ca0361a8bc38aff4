#pragma once

#include "../../csrc/window.h"
#include "cases.h"

// Fewer threads than places: each has several.
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

inline relustat::PoolingNumbers take_pooling(Case& call) {
  const relustat::WindowNumbers d = take_window(call);
  const relustat::WindowNumbers h = take_window(call);
  return {d, h, take_window(call)};
}
