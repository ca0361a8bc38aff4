#pragma once

#define RELUSTAT_ISA baseline
#define RELUSTAT_VECTOR_BYTES 16
