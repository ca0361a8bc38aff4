#pragma once

#include <ATen/core/Tensor.h>

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

#include <cstdint>

namespace relustat::cpu {

// From this size on, the page faults of a fresh tensor cost more than the computation.
constexpr size_t kHugePageBytes = size_t{4} << 20;

// Asks for huge pages under a fresh output that will be written whole: a fault for each 2 MiB
// instead of each 4 KiB. A hint: where the system grants none, nothing changes. (PyTorch's
// allocator does so with THP_MEM_ALLOC_ENABLE=1.)
inline void prefer_huge_pages(const at::Tensor& fresh) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  if (fresh.nbytes() < kHugePageBytes) return;
  static const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(fresh.mutable_data_ptr());
  const uintptr_t first_page = (begin + page - 1) / page * page;
  const uintptr_t last_page = (begin + fresh.nbytes()) / page * page;
  madvise(reinterpret_cast<void*>(first_page), last_page - first_page, MADV_HUGEPAGE);
#else
  (void)fresh;
#endif
}

}  // namespace relustat::cpu
