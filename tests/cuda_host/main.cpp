// Runs the cases that come in, and writes their buffers back.

#include <cstdio>
#include <cstdlib>

#include "cases.h"

namespace {

void read(void* to, size_t bytes) {
  if (bytes > 0 && std::fread(to, bytes, 1, stdin) != 1) {
    std::fprintf(stderr, "the cases end in the midst of one\n");
    std::exit(1);
  }
}

int64_t read_number() {
  int64_t number;
  read(&number, sizeof(number));
  return number;
}

Case read_case() {
  Case call;
  call.op = read_number();
  for (int64_t left = read_number(); left > 0; --left) call.numbers.push_back(read_number());
  for (int64_t left = read_number(); left > 0; --left) {
    Case::Buffer buffer;
    buffer.bytes = read_number();
    buffer.offset = read_number();
    buffer.memory.reset(new char[buffer.offset + buffer.bytes]);
    read(buffer.data(), buffer.bytes);
    call.buffers.push_back(std::move(buffer));
  }
  return call;
}

}  // namespace

int main() {
  for (int64_t left = read_number(); left > 0; --left) {
    Case call = read_case();
    switch (call.op) {
      case Case::kCountingRelu:
        run_counting_relu(call);
        break;
      case Case::kMaxPool:
        run_max_pool(call);
        break;
      case Case::kMaxUnpool:
        run_max_unpool(call);
        break;
      case Case::kMaxUnpoolBackward:
        run_max_unpool_backward(call);
        break;
      case Case::kCheckSwitches:
        run_check_switches(call);
        break;
      case Case::kDivide:
        run_divide(call);
        break;
      case Case::kFitsNarrowIndex:
        run_fits_narrow_index(call);
        break;
      case Case::kActivationHash:
        run_activation_hash(call);
        break;
      case Case::kEveryNumber:
        run_every_number(call);
        break;
      case Case::kReluMaxPool:
        run_relu_max_pool(call);
        break;
      case Case::kCountingActivation:
        run_counting_activation(call);
        break;
    }
    for (const Case::Buffer& buffer : call.buffers) {
      std::fwrite(buffer.data(), buffer.bytes, 1, stdout);
    }
  }
}
