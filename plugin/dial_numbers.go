package plugin

import (
	"fmt"
	"slices"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/phone"
)

const ( // df: dial fields that say which numbers are called
	dfFieldDefaultRegion = "default_region"
	dfFieldRegions       = "regions"
	dfFieldNumbers       = "numbers"
	dfFieldRefuseTypes   = "refuse_types"
)

// Choices of numbers.
const (
	numbersValid    = "valid"
	numbersPossible = "possible"
)

func numberFields() []*service.ConfigField {
	refused := []any{}
	for _, kind := range phone.DefaultRefuseTypes() {
		refused = append(refused, string(kind))
	}
	return []*service.ConfigField{
		service.NewStringField(dfFieldDefaultRegion).
			Description("The region, as two letters such as `US`, of numbers that are not international. If the field is empty, those are rejected.").
			Default("").
			LintRule(regionLint(dfFieldDefaultRegion, `""`)),
		service.NewStringListField(dfFieldRegions).
			Description("The regions that may be called, as two letters each. Empty means `default_region` alone, or every region if that is empty too; `[\"*\"]` means every region. Toll-free numbers of +1 belong to every region of the North American numbering plan. `GB` includes Guernsey, Jersey and the Isle of Man, `IT` includes Vatican City, `NO` includes Svalbard. Numbers of no country, such as +800 and +881, belong to no region.").
			Default([]any{}).
			Example([]any{"US", "CA"}).
			Example([]any{phone.AnyRegion}).
			LintRule(`root = if this.type() != "array" { (` + regionCondition(fmt.Sprintf("%q", phone.AnyRegion)) + `).map_each(problem -> "` + "`regions`: " + `" + problem) }`),
		service.NewStringAnnotatedEnumField(dfFieldNumbers, map[string]string{
			numbersValid:    "Call only numbers that fit the numbering plan of their country.",
			numbersPossible: "Also call numbers that have the right number of digits: they may be newer than this program's tables. Area codes and lengths that no plan has, emergency numbers, and numbers without an area code are still rejected.",
		}).Description("Which numbers are called.").
			Default(numbersValid),
		service.NewStringListField(dfFieldRefuseTypes).
			Description("Types of numbers that are not called: " + typeList() + ". An empty list refuses none.").
			Default(refused).
			LintRule(fmt.Sprintf(`root = if this.type() != "array" && ![%s].contains(this) { [ "`+"`refuse_types`"+`: unknown type \"" + this + "\"" ] }`, quotedTypes())).
			Advanced(),
	}
}

// regionLint is a lint rule for one region. also is a value that is good, too.
func regionLint(field, also string) string {
	return `root = (` + regionCondition(also) + `).map_each(problem -> "` + "`" + field + "`: " + `" + problem)`
}

// regionCondition gives the problems of a region, none for the value also.
func regionCondition(also string) string {
	var known []string
	for _, region := range phone.KnownRegions() {
		known = append(known, fmt.Sprintf("%q", region))
	}
	var b strings.Builder
	b.WriteString("match { ")
	fmt.Fprintf(&b, "this == %s || [%s].contains(this) => [], ", also, strings.Join(known, ","))
	for _, wrong := range phone.MistakenRegions() {
		fmt.Fprintf(&b, `this.uppercase() == %q => [ "unknown region %s: did you mean %s?" ], `, wrong, wrong, phone.Mistaken[wrong])
	}
	b.WriteString(`_ => [ "must be two capital letters that name a region with phone numbers, such as US" ] }`)
	return b.String()
}

func typeList() string {
	var words []string
	for _, kind := range phone.Types() {
		words = append(words, "`"+string(kind)+"`")
	}
	return strings.Join(words, ", ")
}

func quotedTypes() string {
	var words []string
	for _, kind := range phone.Types() {
		words = append(words, fmt.Sprintf("%q", kind))
	}
	return strings.Join(words, ",")
}

// numberRules reads the fields of numberFields.
func numberRules(conf *service.ParsedConfig) (region string, rules phone.Rules, err error) {
	if region, err = conf.FieldString(dfFieldDefaultRegion); err != nil {
		return "", rules, err
	}
	if region != "" && !phone.KnownRegion(region) {
		return "", rules, fmt.Errorf("%s: %w", dfFieldDefaultRegion, phone.UnknownRegionError(region))
	}
	rules = phone.DefaultRules(region)
	regions, err := conf.FieldStringList(dfFieldRegions)
	if err != nil {
		return "", rules, err
	}
	if len(regions) > 0 {
		rules.Regions = nil
	}
	for _, one := range regions {
		if one != phone.AnyRegion && !phone.KnownRegion(one) {
			return "", rules, fmt.Errorf("%s: %w", dfFieldRegions, phone.UnknownRegionError(one))
		}
		rules.Regions = append(rules.Regions, strings.ToUpper(one))
	}
	numbers, err := choice(conf, dfFieldNumbers, numbersValid, numbersPossible)
	if err != nil {
		return "", rules, err
	}
	rules.Possible = numbers == numbersPossible
	refused, err := conf.FieldStringList(dfFieldRefuseTypes)
	if err != nil {
		return "", rules, err
	}
	rules.RefuseTypes = nil
	for _, kind := range refused {
		if !slices.Contains(phone.Types(), phone.Type(kind)) {
			return "", rules, fmt.Errorf("%s: unknown type %q; it must be one of %s", dfFieldRefuseTypes, kind, typeList())
		}
		rules.RefuseTypes = append(rules.RefuseTypes, phone.Type(kind))
	}
	return region, rules, nil
}
