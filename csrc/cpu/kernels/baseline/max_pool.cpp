#include "target.h"
//
#include "../check_switches_body.h"
#include "../max_pool_body.h"
