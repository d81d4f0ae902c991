#include "enn/search.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "base/file_io.hpp"
#include "ir/graph.hpp"
#include "pt2e/test_program.hpp"
#include "search/macs.hpp"

namespace enn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Step = AccuracySearch::Step;
using Json = nlohmann::json;

SearchLayer layer(const std::string& name, double contribution, std::uint64_t macs = 1) {
  SearchLayer out;
  out.name = name;
  out.modules = {name + ":convolution"};
  out.contribution = contribution;
  out.macs = macs;
  return out;
}

std::vector<std::string> excluded_of(const EnnQuantizer& quantizer) {
  std::vector<std::string> out;
  const Json json = Json::parse(quantizer.to_json());
  if (!json.contains("excluded")) return out;
  for (const Json& item : json["excluded"]) out.push_back(item["module"]);
  return out;
}

// A model whose metric is 1 without the layers of `bad` in 8 bits; each of them costs 0.1. Layers
// are ranked as they are given.
struct Model {
  std::set<std::string> bad;
  std::vector<SearchLayer> layers;
  std::size_t evaluations = 0;
  std::size_t rankings = 0;

  double metric(const EnnQuantizer& quantizer) {
    ++evaluations;
    std::set<std::string> left = bad;
    for (const std::string& name : excluded_of(quantizer)) left.erase(name);
    return 1.0 - 0.1 * static_cast<double>(left.size());
  }

  Result<SearchOutcome> search(const SearchOptions& options, std::size_t stop_after = 1000) {
    ENN_ASSIGN(AccuracySearch search, AccuracySearch::create(options));
    while (search.step() != Step::Done) {
      if (evaluations == stop_after) return error(Code::Internal, "stopped");
      if (search.step() == Step::MeasureFloat) {
        ENN_TRY(search.tell(1.0));
      } else if (search.step() == Step::Rank) {
        ++rankings;
        ENN_TRY(search.tell(layers));
      } else {
        ENN_TRY(search.tell(metric(search.quantizer())));
      }
    }
    return search.outcome();
  }
};

std::vector<SearchLayer> letters(std::size_t count) {
  std::vector<SearchLayer> layers;
  for (std::size_t i = 0; i < count; ++i)
    layers.push_back(layer(std::string(1, static_cast<char>('a' + i)),
                           1.0 / static_cast<double>(i + 1), 10 + i));
  return layers;
}

TEST(Search, EndsAtOnceWhereTheDefaultIsGoodEnough) {
  Model model{{}, letters(3)};
  const auto found = model.search({});
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_EQ(model.evaluations, 1U);
  EXPECT_EQ(model.rankings, 0U);
  EXPECT_EQ(found.value().quantizer.to_json(), EnnQuantizer().to_json());
  EXPECT_TRUE(found.value().decisions.empty());
}

TEST(Search, LeavesExactlyTheBadLayersInFloat) {
  for (const std::set<std::string>& bad :
       {std::set<std::string>{"a"}, {"c"}, {"a", "c"}, {"b", "e", "f"}, {"h"}}) {
    Model model{bad, letters(8)};
    const auto found = model.search({});
    ASSERT_TRUE(found.ok()) << found.status().message();
    const std::vector<std::string> excluded = excluded_of(found.value().quantizer);
    EXPECT_EQ(std::set<std::string>(excluded.begin(), excluded.end()), bad);
    EXPECT_EQ(found.value().metric, 1.0);
    EXPECT_EQ(found.value().evaluations, model.evaluations);
    EXPECT_EQ(model.rankings, 1U);
    const auto again = EnnQuantizer::from_json(found.value().recipe());
    ASSERT_TRUE(again.ok()) << again.status().message();
    EXPECT_EQ(again.value().to_json(), found.value().quantizer.to_json());
    const Json recipe = Json::parse(found.value().recipe());
    EXPECT_EQ(recipe["measured"]["metric"], 1.0);
    EXPECT_GE(recipe["decisions"].size(), bad.size());
  }
}

TEST(Search, TakesASettingThatIsEnoughAndKeepsTheBestOtherwise) {
  const auto with_observer = [](const AccuracySearch& search) {
    const Json json = Json::parse(search.quantizer().to_json());
    return json.value("observer", "") == "histogram" ? 0.95 : 0.5;
  };
  SearchOptions options;
  options.max_drop = 0.1;
  auto search = AccuracySearch::create(options);
  ASSERT_TRUE(search.ok());
  std::vector<std::string> trials;
  ASSERT_TRUE(search.value().tell(1.0).ok());
  while (search.value().step() == Step::Evaluate) {
    trials.push_back(search.value().trial());
    ASSERT_TRUE(search.value().tell(with_observer(search.value())).ok());
  }
  ASSERT_EQ(search.value().step(), Step::Done);
  EXPECT_THAT(trials, ElementsAre("as configured", "observer percentile", "observer histogram"));
  const auto outcome = search.value().outcome();
  ASSERT_TRUE(outcome.ok());
  ASSERT_EQ(outcome.value().decisions.size(), 1U);
  EXPECT_EQ(outcome.value().decisions[0].what, "observer histogram");
  EXPECT_EQ(outcome.value().decisions[0].metric_before, 0.5);

  options.max_drop = 0.01;
  search = AccuracySearch::create(options);
  ASSERT_TRUE(search.value().tell(1.0).ok());
  while (search.value().step() == Step::Evaluate)
    ASSERT_TRUE(search.value().tell(with_observer(search.value())).ok());
  ASSERT_EQ(search.value().step(), Step::Rank);
  EXPECT_THAT(search.value().quantizer().to_json(), HasSubstr(R"("observer":"histogram")"));
  EXPECT_THAT(search.value().quantizer().to_json(), HasSubstr(R"("bias_correction":true)"));
}

TEST(Search, SaysWhatABoundThatCannotBeMetCameTo) {
  Model model{{"a", "b", "z"}, letters(4)};
  auto found = model.search({});
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.status().message(),
            "the metric cannot be kept at 0.99 (in float it is 1): with 2 layers in float it is "
            "0.9; allow a larger drop or more layers in float");
  model = {{"a", "b", "c"}, letters(4)};
  SearchOptions options;
  options.max_layers = 2;
  found = model.search(options);
  ASSERT_FALSE(found.ok());
  EXPECT_THAT(found.status().message(), HasSubstr("with 2 layers in float it is 0.9"));
  options.max_drop = -1;
  EXPECT_THAT(AccuracySearch::create(options).status().message(), HasSubstr("max_drop is -1"));
  auto search = AccuracySearch::create({});
  EXPECT_THAT(search.value().tell(std::numeric_limits<double>::infinity()).message(),
              HasSubstr("nothing is a drop from it"));
  EXPECT_THAT(search.value().tell(std::nan("")).message(), HasSubstr("is not a number"));
}

TEST(Search, BoundIsADropAShareOrTheMetricItself) {
  const auto bound = [](const SearchOptions& options) {
    auto search = AccuracySearch::create(options);
    EXPECT_TRUE(search.value().tell(-40.0).ok());
    EXPECT_TRUE(search.value().tell(1e9).ok());
    return search.value().outcome().value().bound;
  };
  SearchOptions options;
  options.max_drop = 0.25;
  EXPECT_EQ(bound(options), -40.25);
  options.relative = true;
  EXPECT_EQ(bound(options), -50.0);
  options.min_metric = 3.0;
  EXPECT_EQ(bound(options), 3.0);
}

TEST(Search, GoesOnFromItsFileWithoutMeasuringAgain) {
  const std::string path = ::testing::TempDir() + "enn_search_" + std::to_string(::getpid());
  std::remove(path.c_str());
  SearchOptions options;
  options.resume = path;
  options.subject = "model";
  Model whole{{"b", "e"}, letters(8)};
  const auto expected = whole.search({});
  Model stopped{{"b", "e"}, letters(8)};
  EXPECT_FALSE(stopped.search(options, 9).ok());
  Model resumed{{"b", "e"}, letters(8)};
  const auto found = resumed.search(options);
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_EQ(found.value().recipe(), expected.value().recipe());
  EXPECT_EQ(stopped.evaluations + resumed.evaluations, whole.evaluations);
  Model again{{}, {}};
  EXPECT_EQ(again.search(options).value().recipe(), expected.value().recipe());
  EXPECT_EQ(again.evaluations, 0U);

  options.subject = "other";
  EXPECT_EQ(AccuracySearch::create(options).status().message(),
            path + ": it has evaluations of another model, other data or another metric");
  for (const char* text : {"", "{}\n", "words\n"}) {
    ASSERT_TRUE(write_file_atomically(path, std::as_bytes(std::span(std::string_view(text)))).ok());
    EXPECT_THAT(AccuracySearch::create(options).status().message(), HasSubstr(path + ": "));
  }
  std::remove(path.c_str());
}

// The second of three convolutions has weights of 1000 for a channel that is always 0, beside which
// its other weights round to 0.
constexpr const char* kPlanted = R"(graph {
  input %x: float32[1, 2, 2, 2]
  constant %w1: float32[2, 2, 1, 1] = hex 0000803f0000003f0000000000000000
  constant %w2: float32[2, 2, 1, 1] = hex 0000003f00007a440000803e00007a44
  constant %w3: float32[2, 2, 1, 1] = hex 0000803f0000003f0000003f0000803f
  %conv1: float32[1, 2, 2, 2] = convolution(%x, %w1, none) {dilation = [1, 1], groups = 1, pads = [0, 0, 0, 0], stride = [1, 1]}
  %conv2: float32[1, 2, 2, 2] = convolution(%conv1, %w2, none) {dilation = [1, 1], groups = 1, pads = [0, 0, 0, 0], stride = [1, 1]}
  %conv3: float32[1, 2, 2, 2] = convolution(%conv2, %w3, none) {dilation = [1, 1], groups = 1, pads = [0, 0, 0, 0], stride = [1, 1]}
  return %conv3
})";

// conv1 is the first in the ranking; its result was rounded with so much noise.
std::vector<std::string> order_after(double result_sqnr, Graph graph) {
  AnalysisReport report;
  for (const NodeId id : graph.order()) {
    LayerAnalysis& item = report.layers.emplace_back();
    item.name = graph.node(id).name;
    item.nodes = {item.name};
    item.module_path = module_path(graph.node(id).origin);
    item.own_noise = 0.1;
    item.result.emplace().rounding.sqnr = result_sqnr;
    if (report.layers.size() > 1) item.operands = {report.layers.size() - 2};
  }
  report.layers[1].result.reset();
  report.layers[1].reads = {"conv1"};
  report.ranking = {0, 2, 1};
  std::vector<std::string> out;
  for (const SearchLayer& item : search_layers(report, graph)) {
    out.push_back(item.name);
    for (const std::string& module : item.modules) out.push_back("module " + module);
    for (const std::string& node : item.nodes) out.push_back("node " + node);
  }
  return out;
}

TEST(Search, ReadersOfABadResultFollowItAndModulesNameNodesWhereTheyCan) {
  auto graph = parse(kPlanted);
  ASSERT_TRUE(graph.ok());
  EXPECT_THAT(order_after(40, graph.value()),
              ElementsAre("conv1", "node conv1", "conv3", "node conv3", "conv2", "node conv2"));
  const std::vector<NodeId> order = graph.value().order();
  const auto in_module = [&](std::size_t node, const std::string& path) {
    graph.value().node(order[node]).origin.modules = {{"", "Net"}, {path, "Layer"}};
  };
  in_module(0, "stem");
  in_module(1, "body");
  in_module(2, "body");
  EXPECT_THAT(order_after(10, graph.value()),
              ElementsAre("stem conv1", "module stem:convolution", "body conv2", "node conv2",
                          "body conv3", "node conv3"));
}

TEST(Search, FindsThePlantedLayer) {
  const ExportedProgram program = testing::program_of(kPlanted);
  const std::vector<std::vector<float>> samples = {{1, -2, 3, -1, 0.5, 2, -1, 1},
                                                   {-1, 2, 0.25, 1, 1.5, -2, 1, -0.5}};
  const auto each = [&](const RunModel& run, std::size_t most) -> Status {
    for (std::size_t i = 0; i < samples.size() && (most == 0 || i < most); ++i) {
      const TensorView input{{DType::Float32, {1, 2, 2, 2}}, std::as_bytes(std::span(samples[i]))};
      ENN_TRY(run({&input, 1}).status());
    }
    return {};
  };
  std::vector<std::vector<float>> expected;
  const auto evaluate = [&](const RunModel& run) -> Result<double> {
    double signal = 0;
    double noise = 0;
    const bool is_float = expected.empty();
    for (std::size_t i = 0; i < samples.size(); ++i) {
      const TensorView input{{DType::Float32, {1, 2, 2, 2}}, std::as_bytes(std::span(samples[i]))};
      ENN_ASSIGN(const std::vector<Tensor> results, run({&input, 1}));
      const auto* values = reinterpret_cast<const float*>(results[0].bytes.data());
      if (is_float) expected.emplace_back(values, values + 8);
      for (std::size_t k = 0; k < 8; ++k) {
        const double wanted = static_cast<double>(expected[i][k]);
        signal += wanted * wanted;
        noise +=
            (wanted - static_cast<double>(values[k])) * (wanted - static_cast<double>(values[k]));
      }
    }
    return 1.0 - noise / signal;
  };
  SearchOptions options;
  options.max_drop = 0.001;
  // The guard leaves the planted layer in float by itself.
  const auto guarded = quantize_within(program, each, evaluate, options);
  ASSERT_TRUE(guarded.ok()) << guarded.status().message();
  EXPECT_TRUE(guarded.value().outcome.layers.empty());
  EXPECT_GT(guarded.value().macs_in_float, 0U);
  ASSERT_TRUE(options.quantizer.set_guard(std::nullopt).ok());
  const auto found = quantize_within(program, each, evaluate, options);
  ASSERT_TRUE(found.ok()) << found.status().message();
  const SearchOutcome& outcome = found.value().outcome;
  EXPECT_EQ(outcome.float_metric, 1.0);
  EXPECT_GE(outcome.metric, 0.999);
  std::vector<std::string> names;
  for (const SearchLayer& item : outcome.layers) names.push_back(item.name);
  EXPECT_THAT(names, ElementsAre("conv2"));
  EXPECT_EQ(found.value().macs, 3U * 4 * 2 * 2);
}

}  // namespace
}  // namespace enn
