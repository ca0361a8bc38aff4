#if defined(__x86_64__)

#include "target.h"
//
#include "../check_switches_body.h"
#include "../max_pool_body.h"
//
#include "../end_target.h"

#endif
