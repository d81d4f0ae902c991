#include <algorithm>
#include <array>
#include <string_view>

#include "analysis/numbers.hpp"
#include "base/printable.hpp"
#include "enn/analyze.hpp"

namespace enn {
namespace {

constexpr std::size_t kColumns = 9;
using Row = std::array<std::string, kColumns>;
constexpr std::size_t kFirstText = 6;  // columns from here are to the left

std::string table_of(const std::vector<Row>& rows, const std::vector<std::string>& notes) {
  std::array<std::size_t, kColumns> widths{};
  for (const Row& row : rows) {
    for (std::size_t c = 0; c < kColumns; ++c) widths[c] = std::max(widths[c], row[c].size());
  }
  std::string out;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::string line;
    for (std::size_t c = 0; c < kColumns; ++c) {
      const std::string gap(widths[c] - rows[r][c].size(), ' ');
      if (c > 0) line += "  ";
      line += c < kFirstText ? gap + rows[r][c] : rows[r][c] + gap;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n" + notes[r];
  }
  return out;
}

}  // namespace

std::string AnalysisReport::to_text(std::size_t most) const {
  std::vector<Row> rows = {{"share %", "isolated dB", "accumulated dB", "cosine", "max error",
                            "clipped %", "layer", "module", "source"}};
  std::vector<std::string> notes = {""};
  const std::size_t shown = std::min(most, ranking.size());
  for (const std::size_t number : std::span(ranking).first(shown)) {
    const LayerAnalysis& layer = layers[number];
    rows.push_back({decimal(100 * layer.contribution, 1), decimal(layer.isolated.sqnr, 1),
                    decimal(layer.accumulated.sqnr, 1), decimal(layer.isolated.cosine, 5),
                    decimal(layer.isolated.max_difference, 4),
                    layer.result ? decimal(100 * layer.result->clipped, 2) : "",
                    printable_text(layer.name), printable_text(layer.module_path),
                    printable_text(layer.source)});
    notes.emplace_back();
    for (const Remedy& remedy : layer.remedies)
      notes.back() += "    " + remedy.kind + ": " + remedy.text + "\n";
  }
  std::string out = str(samples, " samples");
  if (!layers.empty()) {
    out += str(", ", layers.size(), " layers");
    if (shown < layers.size()) out += str("; the ", shown, " that contribute most");
    out += ":\n" + table_of(rows, notes);
  } else {
    out += "\n";
  }
  const auto add_outputs = [&](std::string_view what, const std::vector<OutputAnalysis>& results) {
    for (const OutputAnalysis& output : results) {
      out += str(what, " '", printable_text(output.name), "': ", decimal(output.error.sqnr, 1),
                 " dB, cosine ", decimal(output.error.cosine, 5), ", largest error ",
                 decimal(output.error.max_difference, 4), "\n");
    }
  };
  add_outputs("output", outputs);
  for (const auto& [name, results] : programs)
    add_outputs(str("output of ", printable_text(name)), results);
  return out;
}

}  // namespace enn
