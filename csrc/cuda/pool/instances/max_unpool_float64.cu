#include "cuda/pool/max_unpool_launch.cuh"

template void relustat::cuda::launch_max_unpool<relustat::Float64>(
    const relustat::cuda::MaxUnpoolCall&);
template void relustat::cuda::launch_max_unpool_backward<relustat::Float64>(
    const relustat::cuda::MaxUnpoolBackwardCall&);
