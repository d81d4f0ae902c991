#include <algorithm>
#include <cstring>
#include <iostream>
#include <random>

#include "common.hpp"
#include "program_view.hpp"

namespace enn::tool {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::string model;
  std::string execution = "integer";
  int rounds = 20;
  int warm_up = 3;
  RunOptions run;
};

class StepTimes final : public ExecutionListener {
 public:
  explicit StepTimes(std::size_t steps) : nanoseconds_(steps, 0) {}
  void on_step(std::size_t step, std::chrono::nanoseconds elapsed) noexcept override {
    if (step < nanoseconds_.size()) nanoseconds_[step] = elapsed.count();
  }
  [[nodiscard]] const std::vector<std::int64_t>& nanoseconds() const { return nanoseconds_; }

 private:
  std::vector<std::int64_t> nanoseconds_;
};

// Cycles per second of one core: a chain of additions of registers, each of which takes one cycle
// on every CPU that the engine has kernels for. The best of several tries.
double measure_clock() {
  constexpr int kTries = 20;
  constexpr std::uint64_t kRounds = 20'000;
  constexpr std::uint64_t kAdditions = 16;
  double best = 0.0;
  for (int t = 0; t < kTries; ++t) {
    std::uint64_t sum = static_cast<std::uint64_t>(t);
    std::uint64_t step = 3;
    asm volatile("" : "+r"(step));
    const auto start = Clock::now();
    for (std::uint64_t i = 0; i < kRounds; ++i) {
#pragma GCC unroll 16
      for (std::uint64_t k = 0; k < kAdditions; ++k) {
        sum += step;
        asm volatile("" : "+r"(sum));
      }
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, static_cast<double>(kRounds * kAdditions) / seconds);
  }
  return best;
}

// 8-bit multiply-adds with exact 32-bit sums that one core's vector units can start in one cycle.
double macs_per_cycle(std::string_view isa) {
  if (isa == "avx512vnni") return 128;  // two vpdpbusd of 64 bytes
  if (isa == "avxvnni") return 64;      // two vpdpbusd of 32 bytes
  if (isa == "avx2") return 32;         // two vpmaddwd of 16 words
  if (isa == "neoni8mm") return 64;     // two smmla of 32 products
  if (isa == "neondot") return 32;      // two sdot of 16 products
  if (isa == "neon") return 16;
  return 1;
}

// Plain numbers in a plausible range.
Tensor random_input(const TensorType& type, std::mt19937& random) {
  const auto count = static_cast<std::size_t>(numel(type.shape));
  Tensor values;
  values.type.shape = type.shape;
  values.bytes.resize(count * sizeof(float));
  std::normal_distribution<float> normal;
  for (std::size_t i = 0; i < count; ++i) {
    const float value = is_float(type.dtype) ? normal(random) : 0.0F;
    std::memcpy(&values.bytes[i * sizeof(float)], &value, sizeof(float));
  }
  return convert(values.view(), type.dtype);
}

struct Measurement {
  double best_ms = 0;
  double median_ms = 0;
  std::vector<std::int64_t> step_ns;  // each step's best
};

Result<Measurement> measure(Runner& runner, const Options& options) {
  std::mt19937 random(1);
  std::vector<Tensor> inputs;
  for (const NamedType& input : runner.inputs()) inputs.push_back(random_input(input.type, random));
  for (int i = 0; i < options.warm_up; ++i) ENN_TRY(runner.run(inputs).status());
  Measurement out;
  std::vector<double> times;
  for (int i = 0; i < options.rounds; ++i) {
    const auto start = Clock::now();
    ENN_TRY(runner.run(inputs).status());
    times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
  }
  std::sort(times.begin(), times.end());
  out.best_ms = times.front();
  out.median_ms = times[times.size() / 2];
  // Apart, for looking at the clock between steps takes time itself.
  for (int i = 0; i < options.rounds; ++i) {
    StepTimes listener(runner.program().steps().size());
    ENN_TRY(runner.run(inputs, &listener).status());
    if (out.step_ns.empty()) out.step_ns = listener.nanoseconds();
    for (std::size_t s = 0; s < out.step_ns.size(); ++s) {
      out.step_ns[s] = std::min(out.step_ns[s], listener.nanoseconds()[s]);
    }
  }
  return out;
}

double per_second(std::uint64_t count, double nanoseconds) {
  return nanoseconds > 0 ? static_cast<double>(count) / nanoseconds : 0.0;  // 1e9 per second
}

Status bench(const Options& options) {
  RunOptions run = options.run;
  run.source_lines = true;
  ENN_ASSIGN(std::vector<NamedRunner> runners, open_runners(options.model, run));
  auto chosen = std::find_if(runners.begin(), runners.end(), [&](const NamedRunner& candidate) {
    return candidate.name == options.execution;
  });
  NamedRunner& named = chosen == runners.end() ? runners.front() : *chosen;
  Runner& runner = named.runner;
  ENN_ASSIGN(const ProgramView view, view_program(runner.payload()));
  ENN_ASSIGN(const Measurement measured, measure(runner, options));
  const std::string isa(runner.program().isa());
  const double clock = measure_clock();
  const double peak = clock * macs_per_cycle(isa) * options.run.threads / 1e9;
  const double whole = per_second(view.macs, measured.best_ms * 1e6);
  const auto& steps = runner.program().steps();
  std::int64_t sum = 0;
  for (const std::int64_t time : measured.step_ns) sum += time;
  if (options.run.json) {
    Json rows = Json::array();
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const double giga = per_second(view.steps[i].macs, static_cast<double>(measured.step_ns[i]));
      rows.push_back({{"name", steps[i].name},
                      {"module", steps[i].module_path},
                      {"source", steps[i].source},
                      {"op", steps[i].op},
                      {"kernel", steps[i].kernel},
                      {"output", view.steps[i].output},
                      {"microseconds", static_cast<double>(measured.step_ns[i]) / 1e3},
                      {"macs", view.steps[i].macs},
                      {"gmacs_per_second", giga},
                      {"share_of_peak", giga / peak}});
    }
    print_json({{"model", options.model},
                {"execution", named.name},
                {"isa", isa},
                {"threads", options.run.threads},
                {"rounds", options.rounds},
                {"best_ms", measured.best_ms},
                {"median_ms", measured.median_ms},
                {"macs", view.macs},
                {"gmacs_per_second", whole},
                {"clock_ghz", clock / 1e9},
                {"peak_gmacs_per_second", peak},
                {"share_of_peak", whole / peak},
                {"steps", std::move(rows)}});
    return {};
  }
  Table table({"step", "module", "operator", "kernel", "result", "us", "share %", "GMAC/s",
               "peak %", "line"});
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const auto time = static_cast<double>(measured.step_ns[i]);
    const double giga = per_second(view.steps[i].macs, time);
    const bool counts = view.steps[i].macs > 0;
    table.add({steps[i].name, steps[i].module_path, steps[i].op, steps[i].kernel,
               view.steps[i].output, decimal(time / 1e3, 1),
               decimal(100 * time / static_cast<double>(std::max<std::int64_t>(sum, 1)), 1),
               counts ? decimal(giga, 1) : "-", counts ? decimal(100 * giga / peak, 1) : "-",
               steps[i].source});
  }
  table.print();
  std::cout << '\n'
            << named.name << ", " << isa << ", " << options.run.threads << " thread(s), best of "
            << options.rounds << ": " << decimal(measured.best_ms, 3) << " ms (median "
            << decimal(measured.median_ms, 3) << "), "
            << decimal(static_cast<double>(view.macs) / 1e6) << " million MACs, "
            << decimal(whole, 1) << " GMAC/s, " << decimal(100 * whole / peak, 1)
            << " % of the peak of " << decimal(peak, 1) << " GMAC/s\n"
            << "peak: " << decimal(clock / 1e9) << " GHz (measured) x "
            << decimal(macs_per_cycle(isa), 0) << " 8-bit multiply-adds per cycle with " << isa
            << " x threads\n";
  return {};
}

}  // namespace

void add_bench(CLI::App& app, Action& action) {
  auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand(
      "bench", "Measure a model's speed, operator by operator, on random inputs");
  command.add_option("model", options->model, "Archive (.pt2), program (.pte) or payload")
      ->required();
  command
      .add_option("--execution", options->execution,
                  "How a quantized archive runs: integer (as the delegate) or qdq (as PyTorch)")
      ->check(CLI::IsMember({"integer", "qdq"}))
      ->capture_default_str();
  command.add_option("--rounds", options->rounds, "Runs, of which the best counts")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  command.add_option("--warm-up", options->warm_up, "Runs before them that do not count")
      ->check(CLI::Range(0, 1'000'000))
      ->capture_default_str();
  add_run_options(command, options->run);
  command.footer(
      "The peak is the clock, measured with a chain of additions, times the 8-bit "
      "multiply-adds that the instruction set's widest dot product does in a cycle.\n\n"
      "Examples:\n"
      "  enn bench mobilenet_v2.pte --threads 2\n"
      "  enn bench mobilenet_v2_a8w8.pt2 --isa avx2 --rounds 100 --json");
  command.callback([options, &action] { action = [options] { return bench(*options); }; });
}

}  // namespace enn::tool
