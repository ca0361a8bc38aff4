#pragma once

#include <cstdint>
#include <memory>
#include <vector>

// One call of a kernel, as cuda_kernels.py writes it.
struct Case {
  enum Op : int64_t {
    kCountingRelu,
    kMaxPool,
    kMaxUnpool,
    kMaxUnpoolBackward,
    kCheckSwitches,
    kDivide,
    kFitsNarrowIndex,
    kActivationHash,
    kEveryNumber,
    kReluMaxPool,
    kCountingActivation
  };

  // Allocated to the byte, so that AddressSanitizer sees what lies beyond.
  struct Buffer {
    std::unique_ptr<char[]> memory;
    int64_t bytes;
    int64_t offset;  // from an aligned address
    void* data() const { return memory.get() + offset; }
  };

  int64_t op;
  std::vector<int64_t> numbers;
  std::vector<Buffer> buffers;

  // The numbers, one after the other.
  int64_t take() { return numbers.at(taken_++); }
  void* buffer(size_t i) const { return buffers.at(i).data(); }

 private:
  size_t taken_ = 0;
};

void run_counting_relu(Case& call);
void run_max_pool(Case& call);
void run_max_unpool(Case& call);
void run_max_unpool_backward(Case& call);
void run_check_switches(Case& call);
void run_divide(Case& call);
void run_fits_narrow_index(Case& call);
void run_activation_hash(Case& call);
void run_every_number(Case& call);
void run_relu_max_pool(Case& call);
void run_counting_activation(Case& call);
