#pragma once

#include "cuda/relu/counting_relu_call.h"
#include "cuda/relu/cuda_format.h"
#include "relu/cuda_family.h"

namespace relustat::cuda {

// Every relative of ReLU with the same two numbers. They are made before the launch: threads read
// them from the kernel's arguments.
template <class Format>
struct FamilyBodies {
  using Computed = CudaFormat<Format>;

  Knees<Computed> knees;
  Clamp<Computed> zero_keeping_clamp;
  Slope<Computed> slope;
  Square<Computed> square;
  Activity<Computed> activity;

  FamilyBodies(Activation activation, const ActivationNumbers& numbers)
      : knees(activation, numbers),
        zero_keeping_clamp(numbers),
        slope(numbers),
        square(numbers),
        activity(activation, numbers) {}
};

template <class Format>
struct CountingActivationCall : CountingReluCall {
  using Bits = typename Format::Bits;

  Activation activation;
  FamilyBodies<Format> bodies;
  const Bits* slopes = nullptr;  // instead of the first number, [1] or [units]; or null
  bool has_slope_per_unit = false;
  const Bits* observed = nullptr;  // see observed_access.cuh; or null

  CountingActivationCall(const CountingReluCall& relu, Activation activation,
                         const ActivationNumbers& numbers)
      : CountingReluCall(relu), activation(activation), bodies(activation, numbers) {}

  // Whether its body is bodies.knees.
  RELUSTAT_HOST_DEVICE bool has_knees() const {
    return activation == Activation::kThreshold ||
           (activation == Activation::kClamp && !bodies.knees.keep_zeros());
  }
};

}  // namespace relustat::cuda
