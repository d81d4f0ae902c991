#include <algorithm>
#include <cmath>
#include <string_view>

#include "analysis/numbers.hpp"
#include "analysis/remedies.hpp"
#include "enn/analyze.hpp"

namespace enn {
namespace {

constexpr std::string_view kStyle = R"(
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: #1c2430; background: #fff; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 0 0 .2rem; }
table { border-collapse: collapse; }
th, td { text-align: left; padding: .2rem .7rem .2rem 0; border-bottom: 1px solid #e3e7ec; vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
code, .names { font: 13px ui-monospace, monospace; overflow-wrap: anywhere; }
a { color: inherit; }
td a { white-space: nowrap; }
.note { color: #5a6675; }
.chip { display: inline-block; width: .8rem; height: .8rem; border-radius: 2px; vertical-align: -.1rem; margin-right: .35rem; }
.bar { display: inline-block; height: .7rem; background: #4a76c9; vertical-align: 0; }
.layer { border: 1px solid #e3e7ec; border-left-width: 6px; border-radius: 4px; padding: .7rem 1rem; margin: .7rem 0; }
.layer:target { background: #fff8e1; }
.remedy { margin: .3rem 0; }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem; margin-top: .5rem; }
figure { margin: 0; }
figcaption { font-size: 13px; color: #5a6675; max-width: 24rem; overflow-wrap: anywhere; }
svg { display: block; max-width: 100%; }
svg text { font: 11px system-ui, sans-serif; fill: #1c2430; }
.scroll { overflow-x: auto; }
)";

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += byte >= 0x20 && byte < 0x7f ? c : '?';
    }
  }
  return out;
}

std::string fixed(double value) { return decimal(value, 1); }

// From red at 10 dB and below to green at 40 and above.
std::string colour(double sqnr) {
  if (std::isnan(sqnr)) return "#9aa4b1";
  const double share = std::clamp((sqnr - 10.0) / 30.0, 0.0, 1.0);
  return str("hsl(", static_cast<int>(130 * share), ", 62%, 46%)");
}

std::string tag(std::string_view name, std::string_view attributes, std::string_view body) {
  return str("<", name, attributes.empty() ? "" : " ", attributes, ">", body, "</", name, ">\n");
}

std::string number_cell(const std::string& text) { return tag("td", "class=\"number\"", text); }

std::string link(std::size_t layer, const std::string& name) {
  return str("<a href=\"#layer-", layer, "\"><code>", escaped(name), "</code></a>");
}

// Bars of the isolated SQNR and a line of the accumulated, in the order of execution.
std::string chart(const AnalysisReport& report) {
  constexpr double kMost = 60.0;  // dB
  constexpr double kHeight = 200.0;
  constexpr double kLeft = 34.0;
  const double step = std::clamp(1100.0 / static_cast<double>(report.layers.size()), 4.0, 40.0);
  const double width = kLeft + step * static_cast<double>(report.layers.size()) + 6;
  const auto y = [&](double sqnr) {
    const double shown = std::isnan(sqnr) ? 0.0 : std::clamp(sqnr, 0.0, kMost);
    return kHeight - shown / kMost * (kHeight - 10);
  };
  std::string body;
  for (int level = 0; level <= 60; level += 10) {
    const std::string at = fixed(y(level));
    body += str("<line x1=\"", kLeft, "\" y1=\"", at, "\" x2=\"", fixed(width), "\" y2=\"", at,
                "\" stroke=\"#e3e7ec\"/><text x=\"28\" y=\"", fixed(y(level) + 4),
                "\" text-anchor=\"end\">", level, "</text>\n");
  }
  std::string line;
  for (std::size_t i = 0; i < report.layers.size(); ++i) {
    const LayerAnalysis& layer = report.layers[i];
    const double x = kLeft + step * static_cast<double>(i);
    const double top = y(layer.isolated.sqnr);
    body += str("<a href=\"#layer-", i, "\"><rect x=\"", fixed(x), "\" y=\"", fixed(top),
                "\" width=\"", fixed(step * 0.8), "\" height=\"", fixed(kHeight - top),
                "\" fill=\"", colour(layer.isolated.sqnr), "\"><title>", escaped(layer.name), ": ",
                fixed(layer.isolated.sqnr), " dB isolated, ", fixed(layer.accumulated.sqnr),
                " accumulated</title></rect></a>\n");
    line +=
        str(line.empty() ? "" : " ", fixed(x + step * 0.4), ",", fixed(y(layer.accumulated.sqnr)));
  }
  body += str("<polyline points=\"", line,
              "\" fill=\"none\" stroke=\"#1c2430\" stroke-width=\"1.5\"/>\n");
  return tag(
      "div", "class=\"scroll\"",
      tag("svg",
          str("width=\"", fixed(width), "\" height=\"", kHeight + 4, "\" viewBox=\"0 0 ",
              fixed(width), " ", kHeight + 4, "\" role=\"img\" aria-label=\"SQNR of each layer\""),
          body));
}

// The layers below each other, joined to those that they read.
std::string graph(const AnalysisReport& report) {
  constexpr double kRow = 22.0;
  constexpr double kBox = 210.0;  // left edge
  const double height = kRow * static_cast<double>(report.layers.size()) + 8;
  std::string edges;
  std::string boxes;
  for (std::size_t i = 0; i < report.layers.size(); ++i) {
    const LayerAnalysis& layer = report.layers[i];
    const double y = 4 + kRow * static_cast<double>(i);
    for (const std::size_t operand : layer.operands) {
      const double from = 4 + kRow * static_cast<double>(operand) + kRow * 0.5;
      const double to = y + kRow * 0.5;
      if (i == operand + 1) {
        edges += str("<line x1=\"", kBox + 14, "\" y1=\"", fixed(from), "\" x2=\"", kBox + 14,
                     "\" y2=\"", fixed(to), "\" stroke=\"#8b96a5\"/>\n");
        continue;
      }
      const double reach =
          std::min(20.0 + 9.0 * std::sqrt(static_cast<double>(i - operand)), kBox - 10);
      edges += str("<path d=\"M", kBox, " ", fixed(from), " C", fixed(kBox - reach), " ",
                   fixed(from), " ", fixed(kBox - reach), " ", fixed(to), " ", kBox, " ", fixed(to),
                   "\" fill=\"none\" stroke=\"#8b96a5\"/>\n");
    }
    boxes += str("<a href=\"#layer-", i, "\"><rect x=\"", kBox, "\" y=\"", fixed(y),
                 "\" width=\"28\" height=\"", kRow - 5, "\" rx=\"3\" fill=\"",
                 colour(layer.isolated.sqnr), "\"/><text x=\"", kBox + 36, "\" y=\"", fixed(y + 13),
                 "\">", escaped(layer.name), " (", escaped(layer.op), ") ",
                 fixed(layer.isolated.sqnr), " dB</text></a>\n");
  }
  return tag("div", "class=\"scroll\"",
             tag("svg",
                 str("width=\"760\" height=\"", fixed(height), "\" viewBox=\"0 0 760 ",
                     fixed(height), "\" role=\"img\" aria-label=\"The layers and what they read\""),
                 edges + boxes));
}

// The values' histogram, the counts as logarithms, with the range that the integers reach.
std::string histogram(const QuantizedValue& value, std::string_view what) {
  constexpr double kWidth = 360.0;
  constexpr double kHeight = 96.0;
  std::string caption =
      str(what, " <code>", escaped(value.name), "</code>: values in [", short_number(value.low),
          ", ", short_number(value.high), "], quantized in [", short_number(value.chosen_low), ", ",
          short_number(value.chosen_high), "], scale ", short_number(value.scale), "; ",
          fixed(value.rounding.sqnr), " dB, ", short_number(100 * value.clipped), " % clipped");
  std::string body;
  if (!value.values.counts.empty()) {
    const double low = std::min(value.values.low, value.chosen_low);
    const double high = std::max(value.values.high, value.chosen_high);
    const double span = high > low ? high - low : 1.0;
    const auto x = [&](double at) { return (at - low) / span * kWidth; };
    body += str("<rect x=\"", fixed(x(value.chosen_low)), "\" y=\"0\" width=\"",
                fixed(std::max(x(value.chosen_high) - x(value.chosen_low), 1.0)), "\" height=\"",
                kHeight, "\" fill=\"#e6edf9\"/>\n");
    const double most = std::log1p(std::ranges::max(value.values.counts));
    const double part =
        (value.values.high - value.values.low) / static_cast<double>(value.values.counts.size());
    std::string path;
    for (std::size_t i = 0; i < value.values.counts.size(); ++i) {
      if (value.values.counts[i] <= 0 || most <= 0) continue;
      const double left = x(value.values.low + part * static_cast<double>(i));
      const double wide = std::max(part / span * kWidth, 0.7);
      const double tall = std::log1p(value.values.counts[i]) / most * (kHeight - 6);
      path += str("M", fixed(left), " ", kHeight, "v-", fixed(tall), "h", fixed(wide), "v",
                  fixed(tall), "z");
    }
    body += str("<path d=\"", path, "\" fill=\"#4a76c9\"/>\n");
    for (const double edge : {value.chosen_low, value.chosen_high}) {
      body += str("<line x1=\"", fixed(x(edge)), "\" y1=\"0\" x2=\"", fixed(x(edge)), "\" y2=\"",
                  kHeight, "\" stroke=\"#b3261e\"/>\n");
    }
    body += str("<line x1=\"0\" y1=\"", kHeight, "\" x2=\"", kWidth, "\" y2=\"", kHeight,
                "\" stroke=\"#8b96a5\"/><text x=\"0\" y=\"", kHeight + 13, "\">", short_number(low),
                "</text><text x=\"", kWidth, "\" y=\"", kHeight + 13, "\" text-anchor=\"end\">",
                short_number(high), "</text>\n");
  }
  return tag("figure", "",
             tag("svg",
                 str("width=\"", kWidth, "\" height=\"", kHeight + 18, "\" viewBox=\"0 0 ", kWidth,
                     " ", kHeight + 18, "\" role=\"img\" aria-label=\"Histogram\""),
                 body) +
                 tag("figcaption", "", caption));
}

std::string outputs_table(const AnalysisReport& report) {
  std::string rows =
      "<tr><th>output</th><th></th><th class=\"number\">SQNR dB</th><th class=\"number\">cosine"
      "</th><th class=\"number\">largest error</th></tr>\n";
  const auto add = [&](const std::vector<OutputAnalysis>& outputs, const std::string& of) {
    for (const OutputAnalysis& output : outputs) {
      rows += tag("tr", "",
                  tag("td", "", tag("code", "", escaped(output.name))) +
                      tag("td", "", escaped(of)) + number_cell(fixed(output.error.sqnr)) +
                      number_cell(decimal(output.error.cosine, 5)) +
                      number_cell(short_number(output.error.max_difference)));
    }
  };
  add(report.outputs, "quantized");
  for (const auto& [name, outputs] : report.programs) add(outputs, name);
  return tag("table", "", rows);
}

std::string ranking_table(const AnalysisReport& report) {
  constexpr std::size_t kMost = 30;
  constexpr double kBarWidth = 110.0;
  std::string rows =
      "<tr><th class=\"number\">share</th><th></th><th>layer</th><th class=\"number\">isolated dB"
      "</th><th class=\"number\">accumulated dB</th><th>module</th><th>source</th><th>what would "
      "help</th></tr>\n";
  const double largest =
      report.ranking.empty() ? 0.0 : report.layers[report.ranking.front()].contribution;
  for (std::size_t i = 0; i < std::min(kMost, report.ranking.size()); ++i) {
    const std::size_t number = report.ranking[i];
    const LayerAnalysis& layer = report.layers[number];
    const double bar = largest > 0 ? layer.contribution / largest * kBarWidth : 0.0;
    rows += tag(
        "tr", "",
        number_cell(fixed(100 * layer.contribution) + " %") +
            tag("td", "", str("<span class=\"bar\" style=\"width:", fixed(bar), "px\"></span>")) +
            tag("td", "",
                str("<span class=\"chip\" style=\"background:", colour(layer.isolated.sqnr),
                    "\"></span>", link(number, layer.name))) +
            number_cell(fixed(layer.isolated.sqnr)) + number_cell(fixed(layer.accumulated.sqnr)) +
            tag("td", "class=\"names\"", escaped(layer.module_path)) +
            tag("td", "class=\"names\"", escaped(layer.source)) +
            tag("td", "", layer.remedies.empty() ? "" : escaped(layer.remedies.front().kind)));
  }
  return tag("table", "", rows);
}

std::string section(const AnalysisReport& report, std::size_t number) {
  const LayerAnalysis& layer = report.layers[number];
  std::string nodes;
  for (const std::string& node : layer.nodes) nodes += (nodes.empty() ? "" : ", ") + node;
  std::string body =
      tag("h3", "",
          str("<code>", escaped(layer.name), "</code> (",
              escaped(layer.target.empty() ? layer.op : layer.target), ")")) +
      tag("div", "class=\"note names\"",
          str(escaped(nodes), layer.module_path.empty() ? "" : " - ", escaped(layer.module_path),
              layer.source.empty() ? "" : " - ", escaped(layer.source))) +
      tag("div", "",
          str("isolated ", fixed(layer.isolated.sqnr), " dB, cosine ",
              decimal(layer.isolated.cosine, 5), ", largest error ",
              short_number(layer.isolated.max_difference), "; accumulated ",
              fixed(layer.accumulated.sqnr), " dB; share of the outputs' error ",
              fixed(100 * layer.contribution), " %",
              layer.alone ? str("; alone it leaves the outputs ", fixed(layer.alone->sqnr), " dB")
                          : std::string()));
  for (const Remedy& remedy : layer.remedies) {
    body += tag("div", "class=\"remedy\"",
                str("<b>", escaped(remedy.kind), "</b>: ", escaped(remedy.text)));
  }
  std::string pictures;
  if (layer.result) pictures += histogram(*layer.result, "result");
  for (const QuantizedValue& weight : layer.weights) pictures += histogram(weight, "weight");
  if (!pictures.empty()) body += tag("div", "class=\"pictures\"", pictures);
  return tag("div",
             str("class=\"layer\" id=\"layer-", number,
                 "\" style=\"border-left-color:", colour(layer.isolated.sqnr), "\""),
             body);
}

}  // namespace

std::string AnalysisReport::to_html(const std::string& title) const {
  std::string body = tag("h1", "", escaped(title));
  body +=
      tag("p", "class=\"note\"",
          str(samples, " samples, ", layers.size(),
              " layers. SQNR is the signal-to-quantization-noise ratio against the float model: "
              "isolated with the layer's own quantization alone, accumulated with all before it "
              "quantized too."));
  body += tag("h2", "", "Outputs") + outputs_table(*this);
  body += tag("h2", "", "Layers that contribute most") + ranking_table(*this);
  body += tag("h2", "", "SQNR of each layer") +
          tag("p", "class=\"note\"",
              "Bars: isolated, in dB, in the order of execution. Line: accumulated.") +
          chart(*this);
  body += tag("h2", "", "Graph") +
          tag("p", "class=\"note\"", "Coloured by the isolated error: red at 10 dB, green at 40.") +
          graph(*this);
  if (!inputs.empty()) {
    std::string pictures;
    for (const QuantizedValue& input : inputs) pictures += histogram(input, "input");
    body += tag("h2", "", "Inputs") + tag("div", "class=\"pictures\"", pictures);
  }
  body += tag("h2", "", "Layers, those that contribute most first") +
          tag("p", "class=\"note\"",
              "Histograms count the float values, on a logarithmic scale; the shaded part between "
              "the red lines is what the integers reach.");
  for (const std::size_t number : ranking) body += section(*this, number);
  return str(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>",
      escaped(title), "</title>\n<style>", kStyle, "</style>\n</head>\n<body>\n", body,
      "</body>\n</html>\n");
}

}  // namespace enn
