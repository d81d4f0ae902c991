#include "ir/explanation.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "enn/result.hpp"

namespace enn {
namespace {

// RFC 8259, with everything outside printable ASCII escaped byte by byte.
std::string json_quoted(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte > 0x7e) {
      out += "\\u00";
      out += kDigits[byte >> 4U];
      out += kDigits[byte & 15U];
    } else {
      out += c;
    }
  }
  return out + '"';
}

void add_member(std::string& object, std::string_view name, const std::string& json) {
  if (!object.empty()) object += ", ";
  object += json_quoted(name) + ": " + json;
}

std::string json_of(const Facts& facts) {
  std::string members;
  for (const auto& [name, value] : facts) add_member(members, name, json_quoted(value));
  return "{" + members + "}";
}

std::string json_of(const Explanation& row) {
  std::string members;
  const auto text = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) add_member(members, name, json_quoted(value));
  };
  text("kind", row.kind);
  text("name", row.name);
  text("operator", row.operator_name);
  text("source", row.source);
  text("module", row.module_path);
  text("decision", row.decision);
  std::string operands;
  for (const auto& [name, facts] : row.operands) add_member(operands, name, json_of(facts));
  if (!operands.empty()) add_member(members, "operands", "{" + operands + "}");
  if (!row.result.empty()) add_member(members, "result", json_of(row.result));
  if (!row.details.empty()) add_member(members, "details", json_of(row.details));
  text("reason", row.reason);
  text("advice", row.advice);
  return "{" + members + "}";
}

constexpr std::array<std::string_view, 5> kColumns{"name", "operator", "decision", "how", "source"};
using Cells = std::array<std::string, kColumns.size()>;

Cells cells_of(const Explanation& row) {
  std::string how;
  const auto add = [&](const std::string& text) { how += (how.empty() ? "" : "; ") + text; };
  for (const auto& [name, facts] : row.operands) add(str(name, ": ", in_one_line(facts)));
  if (!row.result.empty()) add(str("result: ", in_one_line(row.result)));
  for (const auto& [name, value] : row.details) add(str(name, " ", value));
  std::string source = row.source;
  if (!row.module_path.empty()) source += (source.empty() ? "in " : " in ") + row.module_path;
  return {row.name, row.operator_name.empty() ? row.kind : row.operator_name, row.decision, how,
          std::move(source)};
}

}  // namespace

std::string in_one_line(const Facts& facts) {
  std::string out;
  for (const auto& [name, value] : facts) {
    if (!out.empty()) out += ", ";
    const bool plain = name == "dtype" || name == "scheme" || name == "observer";
    out += plain ? value : str(name, " ", value);
  }
  return out;
}

std::string to_json(std::span<const Explanation> rows) {
  std::string out = "[";
  for (const Explanation& row : rows) {
    out += out.size() == 1 ? "\n" : ",\n";
    out += json_of(row);
  }
  return out + "\n]\n";
}

std::string to_table(std::span<const Explanation> rows) {
  std::vector<Cells> lines;
  lines.push_back({});
  std::ranges::copy(kColumns, lines.front().begin());
  for (const Explanation& row : rows) lines.push_back(cells_of(row));
  std::array<std::size_t, kColumns.size()> widths{};
  for (const Cells& cells : lines) {
    for (std::size_t c = 0; c + 2 < cells.size(); ++c)
      widths[c] = std::max(widths[c], cells[c].size());
  }
  std::string out;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    for (std::size_t c = 0; c < lines[i].size(); ++c) {
      std::string cell = lines[i][c];
      if (c + 2 < lines[i].size()) cell.resize(std::max(cell.size(), widths[c]), ' ');
      if (!cell.empty()) out += (c == 0 ? "" : "  ") + cell;
    }
    out.erase(out.find_last_not_of(' ') + 1);
    out += '\n';
    if (i == 0) continue;
    const Explanation& row = rows[i - 1];
    if (!row.reason.empty()) out += "    why: " + row.reason + "\n";
    if (!row.advice.empty()) out += "    what would help: " + row.advice + "\n";
  }
  return out;
}

}  // namespace enn
