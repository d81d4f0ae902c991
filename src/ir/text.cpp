#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <unordered_map>

#include "ir/graph.hpp"

// graph  := "graph {" input* constant* node* tap* "return" values "}"
// input  := "input" value
// tap    := "tap" name
// constant := "constant" value "=" ("hex" digits | "<" n " bytes>")
// node   := value ("," value)* "=" op "(" (name | "none"),* ")" attributes? ("from" string)? ("at"
// string)? value  := %name ":" dtype shape quant? "channels_last"? quant  := "quant(" scales ","
// zero_points "," axis "," min "," max ")"

namespace enn {
namespace {

constexpr std::size_t kMaxPrintedConstant = 64;

std::string number_text(double value, const char* format) {
  std::array<char, 40> buffer{};
  std::snprintf(buffer.data(), buffer.size(), format, value);
  std::string text = buffer.data();
  if (text.find_first_of(".en") == std::string::npos) text += ".0";
  return text;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

template <typename T, typename F>
std::string list_of(const std::vector<T>& items, F&& item_text) {
  std::string out = "[";
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out += ", ";
    out += item_text(items[i]);
  }
  return out + "]";
}

std::string double_text(double value) { return number_text(value, "%.17g"); }
std::string float_text(float value) { return number_text(static_cast<double>(value), "%.9g"); }

struct AttributePrinter {
  std::string operator()(std::int64_t value) const { return std::to_string(value); }
  std::string operator()(double value) const { return double_text(value); }
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(const std::string& value) const { return quoted(value); }
  std::string operator()(const std::vector<std::int64_t>& value) const { return list_str(value); }
  std::string operator()(const std::vector<double>& value) const {
    return "reals " + list_of(value, double_text);
  }
};

std::string value_text(const Value& value) {
  std::string out = str('%', value.name, ": ", to_string(value.type));
  if (value.quant) {
    const QuantParams& quant = *value.quant;
    out += str(" quant(", list_of(quant.scales, float_text), ", ", list_str(quant.zero_points),
               ", ", quant.axis, ", ", quant.quant_min, ", ", quant.quant_max, ')');
  }
  if (value.layout == Layout::ChannelsLast) out += " channels_last";
  return out;
}

std::string constant_text(const std::vector<std::byte>& data) {
  if (data.size() > kMaxPrintedConstant) return str('<', data.size(), " bytes>");
  std::string out = "hex ";
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (const std::byte byte : data) {
    out += kDigits[std::to_integer<std::size_t>(byte >> 4)];
    out += kDigits[std::to_integer<std::size_t>(byte & std::byte{15})];
  }
  return out;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<Graph> graph() {
    ENN_TRY(expect("graph"));
    ENN_TRY(expect("{"));
    while (!accept("return")) {
      if (accept("input")) {
        ENN_TRY(input());
      } else if (accept("constant")) {
        ENN_TRY(constant());
      } else if (accept("tap")) {
        ENN_ASSIGN(const ValueId id, reference());
        graph_.add_tap(id);
      } else {
        ENN_TRY(node());
      }
    }
    std::vector<ValueId> outputs;
    while (!accept("}")) {
      if (!outputs.empty()) ENN_TRY(expect(","));
      ENN_ASSIGN(const ValueId id, reference());
      outputs.push_back(id);
    }
    graph_.set_outputs(std::move(outputs));
    skip_space();
    if (!text_.empty()) return fail("nothing more");
    return std::move(graph_);
  }

 private:
  Status fail(std::string_view expected) const {
    return error(Code::InvalidGraph, "graph text, line ", consumed_line_, ": expected ", expected);
  }

  void skip_space() {
    while (!text_.empty() &&
           (text_.front() == ' ' || text_.front() == '\n' || text_.front() == '\t')) {
      if (text_.front() == '\n') ++line_;
      text_.remove_prefix(1);
    }
  }

  void consume(std::size_t size) {
    text_.remove_prefix(size);
    consumed_line_ = line_;
  }

  static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.';
  }

  bool accept(std::string_view token) {
    skip_space();
    if (!text_.starts_with(token)) return false;
    if (is_word(token.back()) && text_.size() > token.size() && is_word(text_[token.size()])) {
      return false;
    }
    consume(token.size());
    return true;
  }

  Status expect(std::string_view token) {
    return accept(token) ? Status() : fail(str('\'', token, '\''));
  }

  Result<std::string> word() {
    skip_space();
    std::size_t size = 0;
    while (size < text_.size() && is_word(text_[size])) ++size;
    if (size == 0) return fail("a name");
    std::string out(text_.substr(0, size));
    consume(size);
    return out;
  }

  Result<std::string> string() {
    ENN_TRY(expect("\""));
    std::string out;
    while (!text_.empty() && text_.front() != '"') {
      if (text_.front() == '\\') text_.remove_prefix(1);
      if (text_.empty()) break;
      out += text_.front();
      text_.remove_prefix(1);
    }
    ENN_TRY(expect("\""));
    return out;
  }

  // An integer when the token has no '.', exponent, inf or nan.
  Result<AttributeValue> number() {
    skip_space();
    std::size_t size = 0;
    while (size < text_.size() &&
           (is_word(text_[size]) || text_[size] == '-' || text_[size] == '+'))
      ++size;
    const std::string token(text_.substr(0, size));
    consume(size);
    if (token.find_first_of(".en") == std::string::npos) {
      std::int64_t value = 0;
      const auto [end, failure] = std::from_chars(token.data(), token.data() + token.size(), value);
      if (failure != std::errc() || end != token.data() + token.size()) return fail("a number");
      return AttributeValue(value);
    }
    char* end = nullptr;
    const double value = std::strtod(token.c_str(), &end);
    if (token.empty() || *end != '\0') return fail("a number");
    return AttributeValue(value);
  }

  Result<std::int64_t> integer() {
    ENN_ASSIGN(const AttributeValue value, number());
    if (const auto* integer = std::get_if<std::int64_t>(&value)) return *integer;
    return fail("an integer");
  }

  Result<std::vector<double>> reals() {
    std::vector<double> out;
    ENN_TRY(expect("["));
    while (!accept("]")) {
      if (!out.empty()) ENN_TRY(expect(","));
      ENN_ASSIGN(const AttributeValue value, number());
      const auto* real = std::get_if<double>(&value);
      out.push_back(real != nullptr ? *real : static_cast<double>(std::get<std::int64_t>(value)));
    }
    return out;
  }

  Result<std::vector<std::int64_t>> integers() {
    std::vector<std::int64_t> out;
    ENN_TRY(expect("["));
    while (!accept("]")) {
      if (!out.empty()) ENN_TRY(expect(","));
      ENN_ASSIGN(const std::int64_t value, integer());
      out.push_back(value);
    }
    return out;
  }

  Result<AttributeValue> attribute() {
    skip_space();
    if (accept("true")) return AttributeValue(true);
    if (accept("false")) return AttributeValue(false);
    if (accept("reals")) {
      ENN_ASSIGN(auto list, reals());
      return AttributeValue(std::move(list));
    }
    if (text_.starts_with('"')) {
      ENN_ASSIGN(auto text, string());
      return AttributeValue(std::move(text));
    }
    if (text_.starts_with('[')) {
      ENN_ASSIGN(auto list, integers());
      return AttributeValue(std::move(list));
    }
    return number();
  }

  Result<Value> value() {
    Value out;
    ENN_TRY(expect("%"));
    ENN_ASSIGN(out.name, word());
    ENN_TRY(expect(":"));
    ENN_ASSIGN(const std::string dtype, word());
    const auto known = dtype_from_string(dtype);
    if (!known) return fail("a dtype");
    out.type.dtype = *known;
    ENN_ASSIGN(out.type.shape, integers());
    if (accept("quant")) {
      QuantParams quant;
      ENN_TRY(expect("("));
      ENN_ASSIGN(const auto scales, reals());
      for (const double scale : scales) quant.scales.push_back(static_cast<float>(scale));
      ENN_TRY(expect(","));
      ENN_ASSIGN(const auto zero_points, integers());
      for (const std::int64_t z : zero_points) {
        quant.zero_points.push_back(static_cast<std::int32_t>(z));
      }
      for (std::int32_t* field : {&quant.axis, &quant.quant_min, &quant.quant_max}) {
        ENN_TRY(expect(","));
        ENN_ASSIGN(const std::int64_t number, integer());
        *field = static_cast<std::int32_t>(number);
      }
      ENN_TRY(expect(")"));
      out.quant = std::move(quant);
    }
    if (accept("channels_last")) out.layout = Layout::ChannelsLast;
    return out;
  }

  Status define(const Value& parsed, ValueId id) {
    if (!ids_.emplace(parsed.name, id).second)
      return fail(str("a new name, not '", parsed.name, '\''));
    graph_.value(id).name = parsed.name;
    graph_.value(id).quant = parsed.quant;
    graph_.value(id).layout = parsed.layout;
    return {};
  }

  Result<ValueId> reference() {
    ENN_TRY(expect("%"));
    ENN_ASSIGN(const std::string name, word());
    const auto found = ids_.find(name);
    if (found == ids_.end()) return fail(str("a value that is defined, not '", name, '\''));
    return found->second;
  }

  Status input() {
    ENN_ASSIGN(const Value parsed, value());
    return define(parsed, graph_.add_input(parsed.name, parsed.type));
  }

  Status constant() {
    ENN_ASSIGN(const Value parsed, value());
    ENN_TRY(expect("="));
    const auto count = checked_numel(parsed.type.shape, std::int64_t{1} << 32);
    if (!count) return fail("a smaller constant");
    std::vector<std::byte> data(static_cast<std::size_t>(*count) * size_of(parsed.type.dtype));
    if (accept("hex")) {
      std::string digits;
      if (!data.empty()) {
        ENN_ASSIGN(digits, word());
      }
      if (digits.size() != 2 * data.size()) return fail("two digits per byte");
      for (std::size_t i = 0; i < data.size(); ++i) {
        unsigned byte = 0;
        const char* begin = digits.data() + 2 * i;
        if (std::from_chars(begin, begin + 2, byte, 16).ptr != begin + 2) return fail("hex digits");
        data[i] = static_cast<std::byte>(byte);
      }
    } else {
      ENN_TRY(expect("<"));
      ENN_ASSIGN(const std::int64_t bytes, integer());
      if (bytes != static_cast<std::int64_t>(data.size())) return fail("the constant's size");
      ENN_TRY(expect("bytes"));
      ENN_TRY(expect(">"));
    }
    return define(parsed, graph_.add_constant(
                              parsed.name, parsed.type,
                              std::make_shared<const std::vector<std::byte>>(std::move(data))));
  }

  Status node() {
    std::vector<Value> results;
    do {
      ENN_ASSIGN(Value parsed, value());
      results.push_back(std::move(parsed));
    } while (accept(","));
    ENN_TRY(expect("="));
    ENN_ASSIGN(const std::string op_text, word());
    const auto op = op_from_string(op_text);
    if (!op) return fail("an operator");
    std::vector<ValueId> inputs;
    ENN_TRY(expect("("));
    while (!accept(")")) {
      if (!inputs.empty()) ENN_TRY(expect(","));
      if (accept("none")) {
        inputs.push_back(kNone);
      } else {
        ENN_ASSIGN(const ValueId id, reference());
        inputs.push_back(id);
      }
    }
    Attributes attrs;
    if (accept("{")) {
      while (!accept("}")) {
        if (!attrs.items().empty()) ENN_TRY(expect(","));
        ENN_ASSIGN(std::string name, word());
        ENN_TRY(expect("="));
        ENN_ASSIGN(AttributeValue item, attribute());
        attrs.set(std::move(name), std::move(item));
      }
    }
    std::vector<TensorType> types;
    for (const Value& result : results) types.push_back(result.type);
    const NodeId id = graph_.add_node(*op, results.front().name, std::move(inputs),
                                      std::move(types), std::move(attrs));
    if (accept("from")) {
      ENN_ASSIGN(graph_.node(id).target, string());
    }
    if (accept("at")) {
      ENN_ASSIGN(graph_.node(id).origin.source, string());
    }
    for (std::size_t i = 0; i < results.size(); ++i) {
      ENN_TRY(define(results[i], graph_.node(id).outputs[i]));
    }
    return {};
  }

  std::string_view text_;
  int line_ = 1;           // of the next character
  int consumed_line_ = 1;  // of the last token that was taken
  Graph graph_;
  std::unordered_map<std::string, ValueId> ids_;
};

}  // namespace

std::string print(const Graph& graph) {
  std::string out = "graph {\n";
  for (const ValueId id : graph.inputs()) out += "  input " + value_text(graph.value(id)) + "\n";
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    const Value& value = graph.value(id);
    if (!value.is_constant() || (graph.users(id).empty() && !graph.is_output(id))) continue;
    out += "  constant " + value_text(value) + " = " + constant_text(*value.data) + "\n";
  }
  for (const NodeId id : graph.order()) {
    const Node& node = graph.node(id);
    out += "  ";
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      out += (i > 0 ? ", " : "") + value_text(graph.value(node.outputs[i]));
    }
    out += str(" = ", to_string(node.op), '(');
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      if (i > 0) out += ", ";
      out += node.inputs[i] == kNone ? "none" : "%" + graph.value(node.inputs[i]).name;
    }
    out += ")";
    if (!node.attrs.items().empty()) {
      out += " {";
      const char* separator = "";
      for (const auto& [name, value] : node.attrs.items()) {
        out += str(separator, name, " = ", std::visit(AttributePrinter(), value));
        separator = ", ";
      }
      out += "}";
    }
    if (!node.target.empty()) out += " from " + quoted(node.target);
    if (!node.origin.source.empty()) out += " at " + quoted(node.origin.source);
    out += "\n";
  }
  for (const ValueId id : graph.taps()) out += str("  tap %", graph.value(id).name, '\n');
  out += "  return ";
  for (std::size_t i = 0; i < graph.outputs().size(); ++i) {
    out += str(i > 0 ? ", %" : "%", graph.value(graph.outputs()[i]).name);
  }
  return out + "\n}\n";
}

Result<Graph> parse(std::string_view text) { return Parser(text).graph(); }

}  // namespace enn
