// The command `enn`.
#include <iostream>

#include "common.hpp"

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
  enn::tool::add_lower(app, action);
  enn::tool::add_run(app, action);
  enn::tool::add_bench(app, action);
  enn::tool::add_compare(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& problem) {
    return app.exit(problem) == 0 ? 0 : 2;
  }
  const enn::Status status = action();
  if (status.ok()) return 0;
  std::cerr << "enn: " << status.message() << '\n';
  return 1;
}
