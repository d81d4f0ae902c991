#include <iostream>

#include "common.hpp"
#include "output.hpp"

namespace enn::tool {
namespace {

struct Options {
  std::string model;
  std::string output;
  std::string chipset;
  bool source_lines = false;
  bool json = false;
};

Status lower(const Options& options) {
  const std::vector<Output> outputs = {{"--output", options.output}};
  ENN_TRY(check_outputs(outputs, {options.model}, options.json));
  ENN_ASSIGN(const ExportedProgram program, load_archive(options.model));
  std::vector<CompileSpec> specs;
  if (!options.chipset.empty()) {
    ENN_ASSIGN(CompileSpec spec, gen_samsung_backend_compile_spec(options.chipset));
    specs.push_back(std::move(spec));
  }
  if (options.source_lines) specs.push_back(source_lines_compile_spec());
  ENN_ASSIGN(const EdgeProgram edge,
             to_edge_transform_and_lower(program, EnnPartitioner(std::move(specs))));
  ENN_ASSIGN(const ExecutorchProgram result, edge.to_executorch());
  ENN_TRY(write_output(options.output, result.bytes()));
  if (options.json) {
    print_json({{"output", options.output},
                {"bytes", result.bytes().size()},
                {"payload_bytes", edge.payload().size()}});
  } else {
    report_stream(outputs) << options.output << ": " << byte_text(result.bytes().size())
                           << ", one call of the delegate\n";
  }
  return {};
}

}  // namespace

void add_lower(CLI::App& app, Action& action) {
  auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand(
      "lower", "Compile a model (.pt2) to the program that ExecuTorch runs (.pte)");
  command.add_option("model", options->model, "Archive of torch.export, quantized or float")
      ->required();
  command
      .add_option("-o,--output", options->output, "The .pte file to write; - is standard output")
      ->required();
  command.add_option("--chipset", options->chipset,
                     "Compile specification of this chipset (E9955, E9965)");
  command.add_flag("--source-lines", options->source_lines,
                   "Write each step's line of the eager model into the program");
  add_json_option(command, options->json);
  command.footer("Example:\n  enn lower mobilenet_v2_a8w8.pt2 -o mobilenet_v2.pte");
  command.callback([options, &action] { action = [options] { return lower(*options); }; });
}

}  // namespace enn::tool
