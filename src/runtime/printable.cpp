#include "runtime/printable.hpp"

#include "base/printable.hpp"

namespace enn {

std::string printable(const flatbuffers::String* text) {
  return text == nullptr ? std::string() : printable_text({text->c_str(), text->size()});
}

}  // namespace enn
