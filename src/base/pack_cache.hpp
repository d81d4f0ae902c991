// Packed weights that several operators of a program share.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

namespace enn {

// Lives while a program is loaded; what it made lives as long as an operator holds it.
class PackCache {
 public:
  // What `make` gave when it was last called for `key`. A key names the type T, the source and all
  // that decides how it is packed.
  template <typename T, typename Make>
  [[nodiscard]] std::shared_ptr<const T> get(std::string key, const Make& make) {
    std::shared_ptr<const void>& entry = entries_[std::move(key)];
    if (entry == nullptr) entry = std::make_shared<const T>(make());
    return std::static_pointer_cast<const T>(entry);
  }

 private:
  std::map<std::string, std::shared_ptr<const void>> entries_;
};

// The weights of an operator among those of its program: by `name`, where there is a cache.
struct PackSource {
  PackCache* cache = nullptr;
  std::string name;

  // make() gives what `packing`, the name of a kernel, makes of the weights.
  template <typename T, typename Make>
  [[nodiscard]] std::shared_ptr<const T> packed(const std::string& packing,
                                                const Make& make) const {
    if (cache == nullptr) return std::make_shared<const T>(make());
    return cache->get<T>(name + ' ' + packing, make);
  }
};

}  // namespace enn
