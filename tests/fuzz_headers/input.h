#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

// What every harness shares. A harness makes arguments of the fuzzer's bytes, and compares what a
// header of csrc gives with its definition, which it computes in another and plainer way.

namespace fuzz {

class Input {
 public:
  Input(const uint8_t* data, size_t size) : data_(data), left_(size) {}

  bool is_empty() const { return left_ == 0; }

  // The next bytes as they are; behind the end they are 0.
  template <class T>
  T raw() {
    T value{};
    const size_t taken = left_ < sizeof(T) ? left_ : sizeof(T);
    memcpy(&value, data_, taken);
    data_ += taken;
    left_ -= taken;
    return value;
  }

  // From `least` to `most`, by as few bytes as hold it.
  int64_t number(int64_t least, int64_t most) {
    const uint64_t last = static_cast<uint64_t>(most) - static_cast<uint64_t>(least);
    const uint64_t bytes = last <= UINT8_MAX    ? raw<uint8_t>()
                           : last <= UINT16_MAX ? raw<uint16_t>()
                                                : raw<uint64_t>();
    const uint64_t chosen = last == UINT64_MAX ? bytes : bytes % (last + 1);
    return static_cast<int64_t>(static_cast<uint64_t>(least) + chosen);
  }

  // Small numbers are as likely as large ones, and so are the largest of each size.
  int64_t size(int64_t least, int64_t most) {
    const int64_t range = INT64_MAX >> number(0, 63);
    const int64_t limit = range < most - least ? least + range : most;
    return flag() ? limit : number(least, limit);
  }

  bool flag() { return number(0, 1) == 1; }
  // For what takes long.
  bool rarely() { return number(0, UINT8_MAX) == UINT8_MAX; }

 private:
  const uint8_t* data_;
  size_t left_;
};

// `at`: which one of several.
inline void expect_equal(const char* what, int64_t expected, int64_t got, int64_t at = 0) {
  if (got == expected) return;
  fprintf(stderr, "%s [%lld]: expected %lld, got %lld\n", what, static_cast<long long>(at),
          static_cast<long long>(expected), static_cast<long long>(got));
  abort();
}

inline void expect(const char* what, bool holds, int64_t at = 0) {
  expect_equal(what, 1, holds ? 1 : 0, at);
}

}  // namespace fuzz
