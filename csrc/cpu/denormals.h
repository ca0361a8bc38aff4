#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace relustat::cpu {

// While it lives, this thread computes with denormals, also after torch.set_flush_denormal(True).
// That mode belongs to a thread, so counts would depend on the thread that counts.
class KeepDenormals {
 public:
  KeepDenormals() : saved_(control()) { set_control(saved_ & ~kFlush); }
  ~KeepDenormals() { set_control(saved_); }
  KeepDenormals(const KeepDenormals&) = delete;
  KeepDenormals& operator=(const KeepDenormals&) = delete;

 private:
#if defined(__x86_64__)
  static constexpr uint64_t kFlush = 0x8040;  // MXCSR: flush to zero, denormals are zero
  static uint64_t control() { return _mm_getcsr(); }
  static void set_control(uint64_t bits) { _mm_setcsr(static_cast<unsigned>(bits)); }
#elif defined(__aarch64__)
  static constexpr uint64_t kFlush = (uint64_t{1} << 24) | (uint64_t{1} << 19);  // FPCR: FZ, FZ16
  static uint64_t control() {
    uint64_t bits;
    __asm__ __volatile__("mrs %0, fpcr" : "=r"(bits));
    return bits;
  }
  static void set_control(uint64_t bits) { __asm__ __volatile__("msr fpcr, %0" : : "r"(bits)); }
#else
  static constexpr uint64_t kFlush = 0;
  static uint64_t control() { return 0; }
  static void set_control(uint64_t) {}
#endif

  const uint64_t saved_;
};

}  // namespace relustat::cpu
