#include "target.h"
//
#include "../activation_hash_body.h"
#include "../counting_relu_body.h"
