#include "cuda/relu_pool/relu_pool_launch.cuh"

template bool relustat::cuda::launch_relu_pool<relustat::BFloat16>(
    relustat::Binning, const relustat::UnitLayout&, const relustat::cuda::CountingReluCall&,
    const relustat::cuda::MaxPoolCall&);
