#pragma once

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace relustat::cpu {

// While it lives, this thread computes with denormals even where torch.set_flush_denormal(True)
// asked for none. That mode is set thread by thread: counts would depend on who counted.
class KeepDenormals {
 public:
#if defined(__x86_64__)
  KeepDenormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ & ~kFlush); }
  ~KeepDenormals() { _mm_setcsr(saved_); }
#else
  KeepDenormals() = default;
#endif
  KeepDenormals(const KeepDenormals&) = delete;
  KeepDenormals& operator=(const KeepDenormals&) = delete;

 private:
#if defined(__x86_64__)
  static constexpr unsigned kFlush = 0x8040;  // flush to zero, denormals are zero
  const unsigned saved_;
#endif
};

}  // namespace relustat::cpu
