#if defined(__x86_64__)

#include "target.h"
//
#include "../activation_hash_body.h"
#include "../counting_relu_body.h"
//
#include "../end_target.h"

#endif
