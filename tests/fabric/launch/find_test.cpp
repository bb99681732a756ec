// Which launcher is found, from HOLDFAST_ variables, and how contradictions are told.
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <filesystem>

#include "fabric/launch/launchers.h"
#include "fabric/launch/pmi1_text.h"

namespace holdfast::fabric {
namespace {

Result<std::unique_ptr<Launch>> find(std::initializer_list<std::string_view> assignments) {
  // This program may itself run under a launcher.
  for (const char* name : {"PMIX_NAMESPACE", "PMIX_RANK", "PMI_FD", "PMI_RANK", "PMI_SIZE"}) ::unsetenv(name);
  const auto environment = Environment::parse(std::vector<std::string_view>(assignments));
  EXPECT_TRUE(environment);
  return Launch::find(*environment);
}

TEST(Find, WithoutALauncherAProcessIsAlone) {
  const auto first = find({});
  const auto second = find({});
  ASSERT_TRUE(first && second);
  EXPECT_EQ((*first)->identity().launcher, "alone");
  EXPECT_EQ((*first)->identity().rank, 0U);
  EXPECT_EQ((*first)->identity().size, 1U);
  EXPECT_NE((*first)->identity().job, (*second)->identity().job) << "two jobs of one";
  EXPECT_EQ(*(*first)->exchange("card", Deadline::never()), std::vector<std::string>{"card"});
  EXPECT_EQ((*first)->exchange(std::string(70000, 'x'), Deadline::never()).error().code, Code::invalid);
}

TEST(Find, RendezvousNeedsAllFourVariables) {
  const auto found = find({"HOLDFAST_RANK=0", "HOLDFAST_SIZE=2"});
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Code::invalid);
  EXPECT_NE(found.error().detail.find("not set: HOLDFAST_RENDEZVOUS, HOLDFAST_JOB"), std::string::npos)
      << found.error().detail;
}

TEST(Find, RendezvousIsFound) {
  const std::string here = "HOLDFAST_RENDEZVOUS=" + std::filesystem::temp_directory_path().string();
  const auto found = find({here, "HOLDFAST_RANK=1", "HOLDFAST_SIZE=2", "HOLDFAST_JOB=j"});
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ((*found)->identity().launcher, "rendezvous");
  EXPECT_EQ((*found)->identity().rank, 1U);
  EXPECT_EQ((*found)->identity().size, 2U);
  EXPECT_EQ((*found)->identity().job, "j");
}

TEST(Find, MalformedNumbersAreTold) {
  for (const std::string_view rank : {"HOLDFAST_RANK=x", "HOLDFAST_RANK=-1", "HOLDFAST_RANK=1x",
                                      "HOLDFAST_RANK=99999999999", "HOLDFAST_RANK=2"}) {
    const auto found = find({"HOLDFAST_RENDEZVOUS=/tmp", rank, "HOLDFAST_SIZE=2", "HOLDFAST_JOB=j"});
    ASSERT_FALSE(found) << rank;
    EXPECT_EQ(found.error().code, Code::invalid);
    EXPECT_NE(found.error().detail.find("HOLDFAST_RANK"), std::string::npos) << found.error().detail;
  }
}

TEST(Find, AForcedLauncherIsTheOnlyOneTried) {
  const auto alone = find({"HOLDFAST_LAUNCHER=alone", "HOLDFAST_RANK=5"});
  ASSERT_TRUE(alone);
  EXPECT_EQ((*alone)->identity().launcher, "alone");
  EXPECT_EQ(find({"HOLDFAST_LAUNCHER=mpi"}).error().code, Code::invalid);
  EXPECT_EQ(find({"HOLDFAST_LAUNCHER=rendezvous"}).error().code, Code::invalid);
  const auto pmi1 = find({"HOLDFAST_LAUNCHER=pmi1"});
  ASSERT_FALSE(pmi1);
  EXPECT_EQ(pmi1.error().code, Code::invalid);
  EXPECT_NE(pmi1.error().detail.find("PMI_FD is not set"), std::string::npos);
}

TEST(Find, PmixWithoutAServerIsAnError) {
  const auto found = find({"HOLDFAST_LAUNCHER=pmix"});
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Code::system);
  EXPECT_NE(found.error().detail.find("PMIx_Init"), std::string::npos) << found.error().detail;
}

TEST(Find, AClosedPmiLineIsTold) {
  ::setenv("PMI_FD", "987", 1);
  ::setenv("PMI_RANK", "0", 1);
  ::setenv("PMI_SIZE", "1", 1);
  const auto environment = Environment::parse({});
  const auto found = Launch::find(*environment);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Code::system);
  EXPECT_NE(found.error().detail.find("PMI_FD=987 is not open"), std::string::npos) << found.error().detail;
}

TEST(Find, TheChoiceFollowsTheEnvironmentAndAsksNobody) {
  struct Case {
    std::vector<std::string_view> assignments;
    bool pmix, pmi1;  // whether the process manager's variables are there; nobody listens
    Launcher launcher;
    bool answers_once;
  };
  const Case cases[] = {
      {{}, false, false, Launcher::alone, false},
      {{}, false, true, Launcher::pmi1, true},
      {{}, true, false, Launcher::pmix, true},
      {{}, true, true, Launcher::pmix, true},
      {{"HOLDFAST_RANK=0"}, true, true, Launcher::rendezvous, false},
      {{"HOLDFAST_LAUNCHER=alone", "HOLDFAST_RANK=0"}, true, true, Launcher::alone, false},
      {{"HOLDFAST_LAUNCHER=rendezvous"}, true, true, Launcher::rendezvous, false},
      {{"HOLDFAST_LAUNCHER=pmix", "HOLDFAST_RANK=0"}, true, false, Launcher::pmix, true},
      {{"HOLDFAST_LAUNCHER=pmix"}, false, true, Launcher::pmix, false},  // a job, but of another manager
      {{"HOLDFAST_LAUNCHER=pmi1", "HOLDFAST_RANK=0"}, false, true, Launcher::pmi1, true},
      {{"HOLDFAST_LAUNCHER=pmi1"}, true, false, Launcher::pmi1, false},
  };
  const auto set_if = [](bool there, const char* name, const char* value) {
    if (there)
      ::setenv(name, value, 1);
    else
      ::unsetenv(name);
  };
  for (const Case& expected : cases) {
    set_if(expected.pmix, "PMIX_NAMESPACE", "nobody");
    set_if(expected.pmix, "PMIX_RANK", "0");
    set_if(expected.pmi1, "PMI_FD", "987");
    const auto environment = Environment::parse(expected.assignments);
    ASSERT_TRUE(environment);
    const auto choice = Launch::choose(*environment);
    const auto number = &expected - cases;
    ASSERT_TRUE(choice) << number << ": " << choice.error().message();
    EXPECT_EQ(choice->launcher, expected.launcher) << number;
    EXPECT_EQ(choice->answers_once, expected.answers_once) << number;
  }
  for (const char* name : {"PMIX_NAMESPACE", "PMIX_RANK", "PMI_FD"}) ::unsetenv(name);
}

TEST(ListRanks, NamesThemAsOneWouldSay) {
  using launch::list_ranks;
  EXPECT_EQ(list_ranks(std::array<std::uint32_t, 1>{3}), "rank 3");
  EXPECT_EQ(list_ranks(std::array<std::uint32_t, 2>{1, 4}), "ranks 1 and 4");
  EXPECT_EQ(list_ranks(std::array<std::uint32_t, 3>{1, 4, 7}), "ranks 1, 4 and 7");
}

TEST(Pmi1Text, FieldsAreFoundAsWholeWords) {
  using launch::pmi1::field;
  EXPECT_EQ(field("cmd=get_result rc=0 value=abc", "value"), "abc");
  EXPECT_EQ(field("cmd=get_result rc=0 value=abc\n", "value"), "abc");
  EXPECT_EQ(field("cmd=maxes xrc=1 rc=2", "rc"), "2");
  EXPECT_EQ(field("cmd=a b=", "b"), "");
  EXPECT_FALSE(field("cmd=maxes", "rc"));
  EXPECT_FALSE(field("", "rc"));
}

TEST(Pmi1Text, CardsOfAnyLengthComeBack) {
  using namespace launch::pmi1;
  std::string card;
  for (std::size_t size = 0; size < 3000; size = size < 200 ? size + 1 : size + 97) {
    card.resize(size);
    for (std::size_t i = 0; i < size; ++i) card[i] = static_cast<char>(i * 37 + size);
    const auto values = to_values(card, 100);
    for (const std::string& value : values) {
      EXPECT_LE(value.size(), 100U);
      EXPECT_EQ(value.find_first_of(" =\n"), std::string::npos);
    }
    EXPECT_EQ(count_of(values.front()), values.size());
    EXPECT_EQ(from_values(values), card);
  }
}

TEST(Pmi1Text, WhatIsNotACardIsRefused) {
  using namespace launch::pmi1;
  EXPECT_FALSE(from_values({}));
  EXPECT_FALSE(from_values({"2.abcd"}));
  EXPECT_FALSE(from_values({"abcd"}));
  EXPECT_FALSE(from_values({"1.a"}));
  EXPECT_FALSE(from_values({"1.ab!d"}));
  EXPECT_FALSE(count_of("0."));
  EXPECT_FALSE(count_of("3"));
}

}  // namespace
}  // namespace holdfast::fabric
