// Where in the eager model a node comes from.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace enn {

// One call of a module of the eager model.
struct ModuleCall {
  std::string path;  // "features.0.conv"; empty for the model itself
  std::string type;  // "torch.nn.modules.conv.Conv2d"
  friend bool operator==(const ModuleCall&, const ModuleCall&) = default;
};

struct Origin {
  std::string source{};               // file:line as the export recorded it, or empty
  std::vector<ModuleCall> modules{};  // from the model itself to the innermost module
  friend bool operator==(const Origin&, const Origin&) = default;
};

// Path of the innermost module; empty for the model itself and where nothing is known.
[[nodiscard]] std::string module_path(const Origin& origin);

// The source line without the folders of one machine: the file as Python names the module that it
// is ("torchvision/models/resnet.py:92"), or the file's name alone where that is not known.
[[nodiscard]] std::string portable_source(const Origin& origin);

// Whether a module that the node was called in, or one that encloses it, has a path or a class that
// matches `pattern` ('*' and '?'). PyTorch's own classes have their public name too:
// torch.nn.Linear.
[[nodiscard]] bool in_module(const Origin& origin, std::string_view pattern);

// The path as users write it: the exporter's spelling "L['self'].features" and the number of a
// repeated call ("head@1") are taken away.
[[nodiscard]] std::string plain_module_path(std::string_view path);

// '*' stands for any text, '?' for any character; a regular expression follows "re:".
[[nodiscard]] bool matches(std::string_view pattern, std::string_view name);

}  // namespace enn
