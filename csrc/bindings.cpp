#include <ATen/Version.h>
#include <pybind11/pybind11.h>
#include <torch/version.h>

#include <string>

#include "binning.h"
#include "cuda/build.h"

namespace py = pybind11;

namespace {

py::dict build_info() {
  py::dict info;
  info["torch"] = TORCH_VERSION;
  info["compiler"] =
#if defined(__clang__)
      "clang " __clang_version__;
#elif defined(__GNUC__)
      "gcc " __VERSION__;
#else
      "unknown";
#endif
  info["cpp"] = __cplusplus;
#if defined(_OPENMP)
  info["openmp"] = true;
#else
  info["openmp"] = false;
#endif
#if defined(RELUSTAT_WITH_CUDA)
  info["kernels"] = std::string("CPU, CUDA ") + relustat::cuda::build();
#else
  info["kernels"] = "CPU";
#endif
  return info;
}

}  // namespace

PYBIND11_MODULE(_C, m) {
  m.doc() = "relustat's compiled ops; importing it registers torch.ops.relustat.";
  m.def("build_info", &build_info, "How this library was built.");
  m.def("cpu_capability", &at::get_cpu_capability,
        "The instruction set that the CPU kernels use: DEFAULT, AVX2 or AVX512.");
  m.attr("MAX_BINS") = relustat::kMaxBins;
}
