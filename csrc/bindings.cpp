#include <ATen/PythonTorchFunctionTLS.h>
#include <ATen/Version.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <c10/core/impl/TorchDispatchModeTLS.h>
#include <torch/csrc/autograd/python_variable.h>
#include <torch/csrc/jit/frontend/tracer.h>
#include <torch/csrc/utils/pybind.h>
#include <torch/version.h>

#include <optional>
#include <string>
#include <tuple>

#include "autograd/pooling_ops.h"
#include "cpu/flat_indices.h"
#include "cpu/shared_counters.h"
#include "cuda/common/build.h"
#include "relu/binning.h"

namespace py = pybind11;

namespace {

// relustat/_extension.py searches a library for it that does not load.
[[gnu::used]] constexpr char kBuiltFor[] = "relustat: built for PyTorch " TORCH_VERSION;

py::dict build_info() {
  py::dict info;
  info["torch"] = std::string(kBuiltFor).substr(sizeof("relustat: built for PyTorch ") - 1);
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

// Whether this is a dense tensor with numbers, and no subclass, mode, trace or transform has to see
// what is done with it.
bool is_direct(const py::handle& object) {
  if (!THPVariable_CheckExact(object.ptr()) || at::impl::torch_function_mode_enabled() ||
      c10::impl::dispatch_mode_enabled() ||
      c10::impl::tls_is_dispatch_key_included(c10::DispatchKey::FuncTorchDynamicLayerFrontMode) ||
      c10::impl::tls_is_dispatch_key_included(c10::DispatchKey::PreDispatch) ||
      torch::jit::tracer::isTracing()) {
    return false;
  }
  const at::Tensor& x = THPVariable_Unpack(object.ptr());
  return x.layout() == at::kStrided && !x.is_meta() && !x.is_nested();
}

// Whether a call with this input can go to the dispatcher directly: there is a kernel, too.
bool is_plain(const py::handle& object) {
  if (!is_direct(object)) return false;
  const at::ScalarType dtype = THPVariable_Unpack(object.ptr()).scalar_type();
  return dtype == at::kFloat || dtype == at::kDouble || dtype == at::kBFloat16 ||
         dtype == at::kHalf;
}

// An op of torch.ops.relustat for plain inputs, without the search by schema.
template <class Signature>
class Direct;
template <class Result, class... Arguments>
class Direct<Result(Arguments...)> {
 public:
  explicit Direct(const char* name)
      : op_(c10::Dispatcher::singleton()
                .findSchemaOrThrow(name, "")
                .typed<Result(Arguments...)>()) {}

  Result operator()(Arguments... arguments) const {
    const py::gil_scoped_release no_gil;
    return op_.call(arguments...);
  }

 private:
  c10::TypedOperatorHandle<Result(Arguments...)> op_;
};

using at::Tensor;
using Optional = std::optional<Tensor>;
using CountingRelu = Tensor(const Tensor&, const Tensor&, const Tensor&, int64_t, int64_t,
                            const Optional&, const Optional&);
using CountingReluInPlace = void(const Tensor&, const Tensor&, const Tensor&, int64_t, int64_t,
                                 const Optional&, const Optional&);
using CountingActivation = Tensor(const Tensor&, const Tensor&, const Tensor&, int64_t, int64_t,
                                  int64_t, double, double, const Optional&, const Optional&,
                                  const Optional&);
using CountingActivationInPlace = void(const Tensor&, const Tensor&, const Tensor&, int64_t,
                                       int64_t, int64_t, double, double, const Optional&,
                                       const Optional&);
using CountActivation = void(const Tensor&, const Optional&, const Tensor&, const Tensor&, int64_t,
                             int64_t, int64_t, double, double, const Optional&, const Optional&);

// The same of torch.ops.relustat.max_pool and max_unpool. The numbers of a pooling are read once.
std::tuple<at::Tensor, at::Tensor> max_pool(const at::Tensor& x,
                                            const relustat::PoolingArguments& pooling) {
  const py::gil_scoped_release no_gil;
  return relustat::max_pool(x, pooling);
}

at::Tensor max_unpool(const at::Tensor& y, const at::Tensor& offsets, at::IntArrayRef input_size,
                      const relustat::PoolingArguments& pooling, int64_t overlap, bool validate) {
  const py::gil_scoped_release no_gil;
  return relustat::max_unpool(y, offsets, c10::fromIntArrayRefSlow(input_size), pooling, overlap,
                              validate);
}

std::tuple<at::Tensor, at::Tensor> relu_max_pool(const at::Tensor& x, const at::Tensor& counters,
                                                 const at::Tensor& edges, int64_t unit_dim,
                                                 int64_t binning,
                                                 const std::optional<at::Tensor>& mask,
                                                 const std::optional<at::Tensor>& blocks,
                                                 const relustat::PoolingArguments& pooling) {
  const py::gil_scoped_release no_gil;
  return relustat::relu_max_pool(x, counters, edges, unit_dim, binning, mask, blocks, pooling);
}

}  // namespace

PYBIND11_MODULE(_C, m) {
  m.doc() = "relustat's compiled ops; importing it registers torch.ops.relustat.";
  m.def("build_info", &build_info, "How this library was built.");
  m.def("cpu_capability", &at::get_cpu_capability,
        "The instruction set that the CPU kernels use: DEFAULT, AVX2 or AVX512.");
  m.def("is_direct", &is_direct, "Whether nothing but kernels has to see this input.");
  m.def("is_plain", &is_plain, "Whether this input can go to the dispatcher at once.");
  const auto mask = py::arg("mask") = py::none();
  const auto blocks = py::arg("blocks") = py::none();
  m.def("counting_relu", Direct<CountingRelu>("relustat::counting_relu"), py::arg("x"),
        py::arg("counters"), py::arg("edges"), py::arg("unit_dim"), py::arg("binning"), mask,
        blocks, "torch.ops.relustat.counting_relu for plain inputs.");
  m.def("counting_relu_", Direct<CountingReluInPlace>("relustat::counting_relu_"), py::arg("x"),
        py::arg("counters"), py::arg("edges"), py::arg("unit_dim"), py::arg("binning"), mask,
        blocks, "torch.ops.relustat.counting_relu_ for plain inputs.");
  m.def("counting_activation", Direct<CountingActivation>("relustat::counting_activation"),
        py::arg("x"), py::arg("counters"), py::arg("edges"), py::arg("unit_dim"),
        py::arg("binning"), py::arg("activation"), py::arg("first"), py::arg("second"),
        py::arg("slopes") = py::none(), mask, blocks,
        "torch.ops.relustat.counting_activation for plain inputs.");
  m.def("counting_activation_", Direct<CountingActivationInPlace>("relustat::counting_activation_"),
        py::arg("x"), py::arg("counters"), py::arg("edges"), py::arg("unit_dim"),
        py::arg("binning"), py::arg("activation"), py::arg("first"), py::arg("second"), mask,
        blocks, "torch.ops.relustat.counting_activation_ for plain inputs.");
  m.def("count_activation", Direct<CountActivation>("relustat::count_activation"), py::arg("x"),
        py::arg("output"), py::arg("counters"), py::arg("edges"), py::arg("unit_dim"),
        py::arg("binning"), py::arg("activation"), py::arg("first"), py::arg("second"), mask,
        blocks, "torch.ops.relustat.count_activation for plain inputs.");
  py::class_<relustat::PoolingArguments>(m, "Pooling", "The numbers of a pooling.")
      .def(py::init<at::IntArrayRef, at::IntArrayRef, at::IntArrayRef, at::IntArrayRef, bool>());
  m.def("max_pool", &max_pool, "torch.ops.relustat.max_pool for plain inputs.");
  m.def("relu_max_pool", &relu_max_pool, "torch.ops.relustat.relu_max_pool for plain inputs.");
  m.def("max_unpool", &max_unpool, "torch.ops.relustat.max_unpool for plain inputs.");
  m.def("flat_indices", &relustat::cpu::flat_indices, py::call_guard<py::gil_scoped_release>(),
        "The flat positions of switches on the CPU.");
  m.def("snapshot", &relustat::cpu::snapshot, py::call_guard<py::gil_scoped_release>(),
        "A copy of counters on the CPU.");
  m.def("reset", &relustat::cpu::reset, py::call_guard<py::gil_scoped_release>(),
        "Sets counters on the CPU to 0, but for `every`.");
  m.attr("MAX_BINS") = relustat::kMaxBins;
}
