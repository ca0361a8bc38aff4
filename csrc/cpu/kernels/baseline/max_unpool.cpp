#include "target.h"
//
#include "../max_unpool_backward_body.h"
#include "../max_unpool_body.h"
