#include "enn/result.hpp"

namespace enn {

const char* to_string(Code code) {
  switch (code) {
    case Code::Ok:
      return "ok";
    case Code::InvalidArgument:
      return "invalid argument";
    case Code::Unsupported:
      return "unsupported";
    case Code::InvalidGraph:
      return "invalid graph";
    case Code::InvalidProgram:
      return "invalid program";
    case Code::ResourceExhausted:
      return "resource exhausted";
    case Code::Internal:
      return "internal error";
  }
  return "unknown";
}

}  // namespace enn
