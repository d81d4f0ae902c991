// The whole public API.
#pragma once

#include "enn/analyze.hpp"
#include "enn/executorch.hpp"
#include "enn/exported_program.hpp"
#include "enn/model.hpp"
#include "enn/program.hpp"
#include "enn/pt2e.hpp"
#include "enn/quantizer.hpp"
#include "enn/repair.hpp"
#include "enn/search.hpp"
