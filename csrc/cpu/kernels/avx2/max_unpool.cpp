#if defined(__x86_64__)

#include "target.h"
//
#include "../max_unpool_backward_body.h"
#include "../max_unpool_body.h"
//
#include "../end_target.h"

#endif
