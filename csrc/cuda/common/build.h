#pragma once

namespace relustat::cuda {

// The toolkit and the architectures that the kernels were compiled with, as in "13.0 for sm_75,
// sm_90".
const char* build();

}  // namespace relustat::cuda
