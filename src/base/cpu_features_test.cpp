#include "base/cpu_features.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

namespace enn {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;

class EnvironmentVariable {
 public:
  explicit EnvironmentVariable(const char* value) {
    const char* old = std::getenv("ENN_ISA");
    if (old != nullptr) old_ = old;
    had_ = old != nullptr;
    if (value != nullptr) {
      setenv("ENN_ISA", value, 1);
    } else {
      unsetenv("ENN_ISA");
    }
  }
  ~EnvironmentVariable() {
    if (had_) {
      setenv("ENN_ISA", old_.c_str(), 1);
    } else {
      unsetenv("ENN_ISA");
    }
  }

 private:
  std::string old_;
  bool had_ = false;
};

// The kernel's own view of the CPU.
std::set<std::string> cpuinfo_flags() {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line)) {
    if (!line.starts_with("flags") && !line.starts_with("Features")) continue;
    std::istringstream words(line.substr(line.find(':') + 1));
    std::set<std::string> flags;
    for (std::string word; words >> word;) flags.insert(word);
    return flags;
  }
  return {};
}

TEST(CpuFeatures, DetectionAgreesWithTheOperatingSystem) {
  const std::set<std::string> flags = cpuinfo_flags();
  if (flags.empty()) GTEST_SKIP() << "/proc/cpuinfo lists no features";
  const auto all = [&](std::initializer_list<const char*> names) {
    for (const char* name : names) {
      if (!flags.contains(name)) return false;
    }
    return true;
  };
  const CpuFeatures found = detected_features();
#if defined(__x86_64__)
  EXPECT_EQ(found.has(CpuFeature::Avx2), all({"avx2", "fma"}));
  EXPECT_EQ(found.has(CpuFeature::AvxVnni), all({"avx2", "fma", "avx_vnni"}));
  EXPECT_EQ(found.has(CpuFeature::Avx512Vnni),
            all({"avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"}));
  EXPECT_FALSE(found.has(CpuFeature::Neon));
#elif defined(__aarch64__)
  EXPECT_TRUE(found.has(CpuFeature::Neon));
  EXPECT_EQ(found.has(CpuFeature::NeonDot), all({"asimddp"}));
  EXPECT_EQ(found.has(CpuFeature::NeonI8mm), all({"asimddp", "i8mm"}));
  EXPECT_FALSE(found.has(CpuFeature::Avx2));
#endif
}

TEST(CpuFeatures, EveryLevelIsTakenOrRefusedByWhatTheCpuHas) {
  for (const std::string_view name : isa_names()) {
    const Result<CpuFeatures> features = features_of_isa(name);
    if (features.ok()) {
      EXPECT_TRUE(detected_features().contains(features.value())) << name;
      EXPECT_EQ(isa_name(features.value()), name);
    } else {
      EXPECT_EQ(features.status().code(), Code::Unsupported);
      EXPECT_THAT(features.status().message(),
                  AllOf(HasSubstr("this CPU lacks"), HasSubstr(std::string(name))));
    }
  }
  ASSERT_TRUE(features_of_isa("reference").ok());
  EXPECT_EQ(features_of_isa("reference").value(), CpuFeatures{});
}

TEST(CpuFeatures, ALevelOfAnotherArchitectureIsRefused) {
#if defined(__x86_64__)
  const Result<CpuFeatures> features = features_of_isa("neoni8mm");
#else
  const Result<CpuFeatures> features = features_of_isa("avx512vnni");
#endif
  EXPECT_EQ(features.status().code(), Code::Unsupported);
}

TEST(CpuFeatures, AnUnknownNameIsRefusedWithTheListOfNames) {
  const Result<CpuFeatures> features = features_of_isa("avx9");
  EXPECT_EQ(features.status().code(), Code::InvalidArgument);
  EXPECT_THAT(features.status().message(),
              AllOf(HasSubstr("\"avx9\""), HasSubstr("reference, avx2, avxvnni, avx512vnni, neon, "
                                                     "neondot, neoni8mm")));
}

TEST(CpuFeatures, TheEnvironmentVariableCapsTheSelection) {
  {
    const EnvironmentVariable variable(nullptr);
    ASSERT_TRUE(selected_features().ok());
    EXPECT_EQ(selected_features().value(), detected_features());
  }
  {
    const EnvironmentVariable variable("");
    ASSERT_TRUE(selected_features().ok());
    EXPECT_EQ(selected_features().value(), detected_features());
  }
  {
    const EnvironmentVariable variable("reference");
    ASSERT_TRUE(selected_features().ok());
    EXPECT_EQ(selected_features().value(), CpuFeatures{});
  }
  {
    const EnvironmentVariable variable("AVX2 ");
    EXPECT_EQ(selected_features().status().code(), Code::InvalidArgument);
    EXPECT_THAT(selected_features().status().message(), HasSubstr("ENN_ISA"));
  }
}

TEST(CpuFeatures, TheNameOfTheDetectedFeaturesIsALevel) {
  EXPECT_THAT(isa_names(), Contains(isa_name(detected_features())));
  EXPECT_EQ(isa_name(CpuFeatures{}), "reference");
}

}  // namespace
}  // namespace enn
