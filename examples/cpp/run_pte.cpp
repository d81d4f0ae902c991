// Loads a .pte, runs its method "forward" and says what came out and how long it took.
//
//   run_pte model.pte [--input FILE]… [--output FILE]… [--runs N]
//
// A file holds the raw bytes of one tensor, row-major. Inputs without a file get fixed numbers in
// [-1, 1). Exit code: 0 success, 1 the model or a file failed, 2 wrong arguments.
#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>
#include <executorch/runtime/backend/interface.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace {

using executorch::aten::ScalarType;
using executorch::aten::Tensor;
using executorch::extension::Module;
using executorch::extension::TensorPtr;
using executorch::runtime::Error;
using executorch::runtime::EValue;

struct Options {
  std::string model;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  int runs = 1;
};

// nullopt after a message when the arguments are wrong.
std::optional<Options> parse(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const std::string_view argument = arguments[i];
    const auto value = [&]() -> const char* { return i + 1 < count ? arguments[++i] : nullptr; };
    if (argument == "--input" || argument == "--output") {
      const char* const file = value();
      if (file == nullptr) {
        std::fprintf(stderr, "error: %s needs a file\n", arguments[i]);
        return std::nullopt;
      }
      (argument == "--input" ? options.inputs : options.outputs).emplace_back(file);
    } else if (argument == "--runs") {
      const char* const number = value();
      const char* const end = number == nullptr ? nullptr : number + std::strlen(number);
      if (number == nullptr || std::from_chars(number, end, options.runs).ptr != end ||
          options.runs < 1) {
        std::fprintf(stderr, "error: --runs needs a number of at least 1\n");
        return std::nullopt;
      }
    } else if (argument.starts_with("--") || !options.model.empty()) {
      std::fprintf(stderr, "error: unexpected argument %s\n", arguments[i]);
      return std::nullopt;
    } else {
      options.model = argument;
    }
  }
  if (options.model.empty()) {
    std::fprintf(stderr,
                 "usage: run_pte model.pte [--input FILE]... [--output FILE]... [--runs N]\n");
    return std::nullopt;
  }
  return options;
}

bool failed(Error error, const char* what, const std::string& name) {
  if (error == Error::Ok) return false;
  std::fprintf(stderr, "error: cannot %s %s: %s\n", what, name.c_str(),
               executorch::runtime::to_string(error));
  return true;
}

const char* name_of(ScalarType type) {
  switch (type) {
    case ScalarType::Float:
      return "float32";
    case ScalarType::Byte:
      return "uint8";
    case ScalarType::Char:
      return "int8";
    case ScalarType::Int:
      return "int32";
    case ScalarType::Long:
      return "int64";
    case ScalarType::Bool:
      return "bool";
    default:
      return "another dtype";
  }
}

template <typename Sizes>
std::string shape_of(const Sizes& sizes) {
  std::string text = "[";
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(sizes[i]);
  }
  return text + "]";
}

// A fixed sequence: floats in [-1, 1), other types as random bytes (0 or 1 for bool).
std::vector<std::uint8_t> generated(std::size_t bytes, ScalarType type) {
  std::uint64_t state = 0x9E3779B97F4A7C15U;
  const auto next = [&] {
    state = state * 6364136223846793005U + 1442695040888963407U;
    return static_cast<std::uint32_t>(state >> 40U);  // 24 bits
  };
  std::vector<std::uint8_t> data(bytes);
  if (type == ScalarType::Float) {
    for (std::size_t i = 0; i + sizeof(float) <= bytes; i += sizeof(float)) {
      const float value = static_cast<float>(next()) / 8388608.0F - 1.0F;
      std::memcpy(data.data() + i, &value, sizeof value);
    }
    return data;
  }
  for (std::uint8_t& byte : data) {
    byte = static_cast<std::uint8_t>(type == ScalarType::Bool ? next() & 1U : next());
  }
  return data;
}

// nullopt after a message when the file has another size.
std::optional<std::vector<std::uint8_t>> read(const std::string& path, std::size_t bytes) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::fprintf(stderr, "error: cannot open %s\n", path.c_str());
    return std::nullopt;
  }
  std::vector<std::uint8_t> data((std::istreambuf_iterator<char>(file)), {});
  if (data.size() == bytes) return data;
  std::fprintf(stderr, "error: %s has %zu bytes; the input takes %zu\n", path.c_str(), data.size(),
               bytes);
  return std::nullopt;
}

bool write(const std::string& path, const Tensor& tensor) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(static_cast<const char*>(tensor.const_data_ptr()),
             static_cast<std::streamsize>(tensor.nbytes()));
  file.close();
  if (file) return true;
  std::fprintf(stderr, "error: cannot write %s\n", path.c_str());
  return false;
}

template <typename T>
void print_range(const Tensor& tensor) {
  const T* const values = tensor.const_data_ptr<T>();
  const auto count = static_cast<std::size_t>(tensor.numel());
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += static_cast<double>(values[i]);
  const auto [low, high] = std::minmax_element(values, values + count);
  std::printf(", minimum %g, mean %g, maximum %g at index %td", static_cast<double>(*low),
              sum / static_cast<double>(count), static_cast<double>(*high), high - values);
}

void print_summary(std::size_t index, const Tensor& tensor) {
  std::printf("output %zu: %s%s", index, name_of(tensor.scalar_type()),
              shape_of(tensor.sizes()).c_str());
  if (tensor.numel() > 0) {
    if (tensor.scalar_type() == ScalarType::Float) print_range<float>(tensor);
    if (tensor.scalar_type() == ScalarType::Byte) print_range<std::uint8_t>(tensor);
    if (tensor.scalar_type() == ScalarType::Char) print_range<std::int8_t>(tensor);
  }
  std::printf("\n");
}

struct Input {
  std::vector<std::uint8_t> data;
  TensorPtr tensor;
};

// Empty after a message when an input cannot be had.
std::optional<std::vector<Input>> make_inputs(Module& module, const Options& options) {
  const auto meta = module.method_meta("forward");
  if (failed(meta.error(), "describe the method forward of", options.model)) return std::nullopt;
  if (options.inputs.size() > meta->num_inputs()) {
    std::fprintf(stderr, "error: %zu input files for a model with %zu inputs\n",
                 options.inputs.size(), meta->num_inputs());
    return std::nullopt;
  }
  std::vector<Input> inputs(meta->num_inputs());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const auto info = meta->input_tensor_meta(i);
    if (failed(info.error(), "describe a tensor input of", options.model)) return std::nullopt;
    const bool from_file = i < options.inputs.size();
    auto data = from_file ? read(options.inputs[i], info->nbytes())
                          : std::optional(generated(info->nbytes(), info->scalar_type()));
    if (!data) return std::nullopt;
    inputs[i].data = std::move(*data);
    inputs[i].tensor = executorch::extension::from_blob(
        inputs[i].data.data(), {info->sizes().begin(), info->sizes().end()}, info->scalar_type());
    std::printf("input %zu: %s%s, %s\n", i, name_of(info->scalar_type()),
                shape_of(info->sizes()).c_str(),
                from_file ? options.inputs[i].c_str() : "generated");
  }
  return inputs;
}

int run(const Options& options) {
  if (executorch::runtime::get_backend_class("EnnBackend") == nullptr) {
    std::fprintf(stderr, "error: EnnBackend is not registered: the delegate was not loaded\n");
    return 1;
  }
  Module module(options.model);
  if (failed(module.load(), "load", options.model)) return 1;
  if (failed(module.load_method("forward"), "load the method forward of", options.model)) return 1;
  const auto inputs = make_inputs(module, options);
  if (!inputs) return 1;
  std::vector<EValue> values;
  for (const Input& input : *inputs) values.emplace_back(*input.tensor);

  std::vector<EValue> results;
  double best = 0;
  double total = 0;
  for (int i = 0; i < options.runs; ++i) {
    const auto start = std::chrono::steady_clock::now();
    auto result = module.execute("forward", values);
    const std::chrono::duration<double, std::milli> elapsed =
        std::chrono::steady_clock::now() - start;
    if (failed(result.error(), "run", options.model)) return 1;
    best = i == 0 ? elapsed.count() : std::min(best, elapsed.count());
    total += elapsed.count();
    results = std::move(result.get());
  }

  if (options.outputs.size() > results.size()) {
    std::fprintf(stderr, "error: %zu output files for a model with %zu outputs\n",
                 options.outputs.size(), results.size());
    return 1;
  }
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (!results[i].isTensor()) continue;
    print_summary(i, results[i].toTensor());
    if (i < options.outputs.size() && !write(options.outputs[i], results[i].toTensor())) return 1;
  }
  std::printf("%d run%s: best %.3f ms, mean %.3f ms\n", options.runs, options.runs == 1 ? "" : "s",
              best, total / options.runs);
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  const std::optional<Options> options = parse(count, arguments);
  return options ? run(*options) : 2;
}
