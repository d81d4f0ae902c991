// The command `enn`.
#include <algorithm>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "base/printable.hpp"
#include "common.hpp"
#include "output.hpp"

namespace {

// Insertions, deletions, replacements and swaps of neighbours that make one word of another.
std::size_t edits(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t other = a[i - 1] == b[j - 1] ? 0 : 1;
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + other});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  }
  return cost[a.size()][b.size()];
}

// A sentence when the first word is no command; empty otherwise.
std::string unknown_command(const CLI::App& app, int argc, char** argv) {
  constexpr std::size_t kMostEdits = 3;
  if (argc < 2 || argv[1][0] == '-' || argv[1][0] == '\0') return {};
  const std::string word = enn::printable_text(argv[1]);
  std::string commands;
  std::string nearest;
  std::size_t least = kMostEdits + 1;
  for (const CLI::App* const command : app.get_subcommands({})) {
    const std::string& name = command->get_name();
    if (name == argv[1]) return {};
    commands += (commands.empty() ? "" : ", ") + name;
    const std::size_t count = edits(word, name);
    if (count < least && count < name.size()) {
      least = count;
      nearest = name;
    }
  }
  return enn::str(
      "unknown command '", word, "'; ",
      nearest.empty() ? "the commands are " + commands : "did you mean '" + nearest + "'?");
}

}  // namespace

int main(int argc, char** argv) {
  using enn::tool::Action;
  CLI::App app(
      "Static 8-bit quantization of PyTorch models (torch.export archives) for ExecuTorch's "
      "Exynos (ENN) backend, on any CPU.",
      "enn");
  app.footer(
      "A model's way:\n"
      "  enn inspect model.pt2\n"
      "  enn quantize model.pt2 -o model_a8w8.pt2 --calibration photos/ --resize 256 --crop 224\n"
      "  enn evaluate model.pt2 model_a8w8.pt2 --data validation/ --resize 256 --crop 224\n"
      "  enn analyze model.pt2 model_a8w8.pt2 --data validation/ --resize 256 --crop 224\n"
      "  enn lower model_a8w8.pt2 -o model.pte\n"
      "  enn bench model.pte --threads 2\n\n"
      "`enn COMMAND --help` has more. Exit codes: 0 done, 1 failed (one sentence says why), "
      "2 the command line was not understood.");
  app.require_subcommand(1);
  app.set_version_flag("--version", ENN_VERSION);
  Action action;
  enn::tool::add_inspect(app, action);
  enn::tool::add_quantize(app, action);
  enn::tool::add_evaluate(app, action);
  enn::tool::add_analyze(app, action);
  enn::tool::add_lower(app, action);
  enn::tool::add_run(app, action);
  enn::tool::add_bench(app, action);
  enn::tool::add_compare(app, action);
  if (const std::string wrong = unknown_command(app, argc, argv); !wrong.empty()) {
    std::cerr << "enn: " << wrong << '\n';
    return 2;
  }
  enn::Status status;
  try {
    app.parse(argc, argv);
    status = action();
  } catch (const CLI::ParseError& problem) {
    if (app.exit(problem) != 0) return 2;
  }
  if (status.ok()) status = enn::tool::finish_standard_output();
  if (status.ok()) return 0;
  std::cerr << "enn: " << status.message() << '\n';
  return 1;
}
